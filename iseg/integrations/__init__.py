"""iseg inside the tools people label with: CVAT, Label Studio, FiftyOne. Each is an extra of its own."""
