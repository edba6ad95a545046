"""Labels for streams of images: a manifest dealt by Ray Data to actors, parquet with a row for each image.

`iseg label SOURCE --out TARGET`; the images are segmented by the worker of `iseg segment`.
"""
