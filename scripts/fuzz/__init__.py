"""Seeded bad, good and strange input for everything that a person can give iseg; see `scripts.fuzz.__main__`."""
