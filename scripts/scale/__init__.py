"""What `iseg label` does past the tests: killed again and again, and 200,000 rows with a model that does nothing."""
