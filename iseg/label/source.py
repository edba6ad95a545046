"""Where images come from: a manifest, a folder or webdataset tars -> rows of `id` and `uri`; no image is read."""

import tarfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec

from iseg.cli.inputs import SUFFIXES, list_items
from iseg.errors import InputError
from iseg.label import store

PROMPTS = ("classes", "points", "box")  # columns of a manifest with what to segment
COLUMNS = ("id", "uri", *PROMPTS)
LINES = (".jsonl", ".ndjson", ".json")


def open_source(source: str, out: str) -> tuple[Any, str]:
    """A Ray dataset of `id`, `uri` and what there is of `classes`, `points`, `box`; and where relative URIs start.

    Args:
        source: a manifest (.parquet, .csv, .jsonl, or a folder of .parquet files), a folder of images, a .tar or a
            folder of them; a path or a URI.
        out: results, which are no images of a folder.

    Raises InputError for a source that is none of these, and a manifest without `id` and `uri`.
    """
    files = (*LINES, ".csv", ".parquet", ".tar")
    if source.lower().endswith(files):
        held = [source]
        found, path = store.open_store(source)
        if not found.exists(path):
            raise InputError(f"{source}: no such file: expected a manifest, a folder or .tar files")
    else:
        held = store.list_files(source, (".parquet",)) or store.list_files(source, (".tar",))
    if not held:
        return _images(source, out), source
    if held[0].lower().endswith(".tar"):
        return _tars(held), source
    base = held[0].rpartition("/")[0] if "://" in held[0] else str(Path(held[0]).resolve().parent)
    return _manifest(held, source if held[0] == source else None), base


def _manifest(files: list[str], single: str | None) -> Any:
    import ray.data

    filesystem, _ = store.open_store(files[0])
    paths = [store.open_store(file)[1] for file in files]
    kind = PurePosixPath(paths[0]).suffix.lower()
    if kind == ".parquet":
        found = ray.data.read_parquet(paths, filesystem=filesystem)
    elif kind == ".csv":
        from pyarrow import csv, string

        texts = csv.ConvertOptions(column_types=dict.fromkeys(COLUMNS, string()), strings_can_be_null=True)
        found = ray.data.read_csv(paths, filesystem=filesystem, convert_options=texts)
    else:
        found = ray.data.read_json(paths, filesystem=filesystem, file_extensions=None)
    where = single or f"{files[0]}, ..."
    try:
        names = found.schema().names
    except Exception as error:  # Ray's own kinds around those of the readers
        said = str(error).strip().splitlines()
        raise InputError(f"{where}: cannot be read as a manifest: {said[-1] if said else error}") from None
    lacking = [name for name in ("id", "uri") if name not in names]
    if lacking:
        raise InputError(f"{where}: has no column {' and '.join(lacking)}: expected id, uri and any of "
                         f"{', '.join(PROMPTS)}")  # fmt: skip
    return found.select_columns([name for name in COLUMNS if name in names])


def _images(folder: str, out: str) -> Any:
    """The images of a folder and its sub-folders, called as `iseg segment` calls their results."""
    if store.is_local(folder) and "://" not in folder:
        if not Path(folder).is_dir():
            raise InputError(f"{folder}: no such folder: expected a manifest, a folder or .tar files")
        here = Path(out) if "://" not in out else Path("iseg-no-results-here")
        return _rows([(item.name, str(item.image.resolve())) for item in list_items([folder], here)])
    files = store.list_files(folder, tuple(SUFFIXES), deep=True)
    if not files:
        raise InputError(f"{folder}: no image in this folder: expected files ending in {', '.join(sorted(SUFFIXES))}")
    start = len(folder.rstrip("/")) + 1
    short = [str(PurePosixPath(file[start:]).with_suffix("")) for file in files]
    taken = Counter(name.casefold() for name in short)
    pairs = zip(short, files, strict=True)
    return _rows([(file[start:] if taken[name.casefold()] > 1 else name, file) for name, file in pairs])


def _rows(found: list[tuple[str, str]]) -> Any:
    import pyarrow as pa
    import ray.data

    return ray.data.from_arrow(pa.table({"id": [name for name, _ in found], "uri": [uri for _, uri in found]}))


def _tars(files: list[str]) -> Any:
    """The images in tars, each known by its bytes' place: "a.tar#512+1024"."""
    import pyarrow as pa
    import ray.data

    stems = Counter(PurePosixPath(file).stem for file in files)
    names = [PurePosixPath(file).stem if stems[PurePosixPath(file).stem] == 1 else file for file in files]
    table = pa.table({"tar": [str(Path(file).resolve()) if "://" not in file else file for file in files],
                      "stem": names})  # fmt: skip
    found = ray.data.from_arrow(table).repartition(len(files)).flat_map(index_tar).materialize()
    if not found.count():
        raise InputError(f"{files[0]}: holds no image: expected files ending in {', '.join(sorted(SUFFIXES))}")
    return found


def index_tar(row: dict[str, Any]) -> Iterator[dict[str, str]]:
    """The images of a tar as "TAR/KEY" (KEY: its path up to the first dot of the file's name), by its headers alone."""
    with fsspec.open(row["tar"]) as file, tarfile.open(fileobj=file, mode="r:") as archive:
        for member in archive:
            folder, slash, name = member.name.rpartition("/")
            key, dot, suffix = name.partition(".")
            if member.isfile() and f"{dot}{suffix}".lower() in SUFFIXES:
                yield {"id": f"{row['stem']}/{folder}{slash}{key}",
                       "uri": f"{row['tar']}#{member.offset_data}+{member.size}"}  # fmt: skip
