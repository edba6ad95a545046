"""Number of clicks (NoC): how many clicks of a simulated user an object takes, as the field measures.

`protocol` is the simulated user, `objects` the data sets, `play` an object from the first click to the last, `run` a
whole set with its records, `report` the table, the curve and the files.
"""
