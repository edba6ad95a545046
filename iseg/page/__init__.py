"""The interactive page: `iseg page`."""
