"""iseg inside the tools people label with: CVAT, Label Studio, FiftyOne."""
