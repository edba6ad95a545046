"""What becomes of an image, whoever deals it: one worker for data-set runs, shards, folders and Ray's actors.

`worker` loads the model and segments, `attempt` knows what may be tried again, `trouble` whose fault it is and how it
is told. How images are read, dealt and saved differs, and is with those who deal them: `iseg.evaluate` (stored pixels
with their truth, batches, class ids), `iseg.cli` (upright pixels, one after another, several kinds of pictures),
`iseg.label` (bytes of a store, rows of a table).
"""
