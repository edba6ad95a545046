"""How images are labelled."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """How images are labelled; see `iseg label --help`.

    Attributes:
        source, target: paths or URIs.
        actors: how many; cpus, gpus: of each, None for a share of what there is.
        batch_size: images handed to an actor at once.
        rows_per_file: rows of a parquet file, about.
        address: of a Ray cluster; None starts Ray here.
        masks, tars: also written.
        retry: images that failed are tried again.
    """

    source: str
    target: str
    actors: int = 1
    cpus: float | None = None
    gpus: float | None = None
    batch_size: int = 16
    rows_per_file: int = 2000
    address: str | None = None
    masks: bool = False
    tars: bool = False
    retry: bool = False
