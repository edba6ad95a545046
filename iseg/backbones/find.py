"""Where weights come from: the embedded model, a local folder or file, a hub or its mirrors."""

from collections.abc import Callable, Sequence
from pathlib import Path

from iseg.backbones.family import row_for
from iseg.backbones.fetch import Wanted, at_hand, fetch, reason
from iseg.backbones.model_files import model_files, tokenizer_files
from iseg.backbones.records import ChangedWeightsError, check_digests
from iseg.backbones.sources import Source, read_source
from iseg.backbones.table import BackboneRow, load_row, row_names, with_sources
from iseg.errors import InputError, echo
from iseg.texts import exists

LINE = 500  # letters of a message at most, where the sources' names leave room for reasons
SHORTEST = 24  # letters of a reason that are always shown

Way = Callable[[Source, Wanted], Path]


def find_row(name: str | Path, table: str | None = None) -> BackboneRow:
    """The backbone a user means: a name of the table, a local folder or `.safetensors` file, or a hub id "owner/name".

    Args:
        name: what the user gave.
        table: name of the table row whose layers and recipe a folder, file or hub id uses; by default that of
            the family it looks like, else sd21-base.
    """
    if str(name) in row_names():
        if table not in (None, str(name)):
            raise InputError(
                f"backbone {echo(table)} was given with the model {name}, whose own is {name}: leave it out"
            )
        return load_row(str(name))
    if exists(name) or str(name).count("/") == 1:
        return with_sources(load_row(table or row_for(name)), [str(name)])
    raise InputError(
        f"no model {echo(str(name))}: expected {', '.join(row_names())}, a diffusers folder, a .safetensors file "
        "or a hub id owner/name"
    )


def row_sources(backbone: BackboneRow) -> list[Source]:
    """The sources of a row. Raises InputError for an entry that is neither an id nor {id, revision, sha256}."""
    return [read_source(entry, backbone.name) for entry in backbone.sources]


def locate(backbone: BackboneRow, download: bool = True, half: bool = False) -> Path:
    """The folder or file with a backbone's weights: the first of its sources that is at hand, else that can be got.

    Args:
        backbone: row of the table.
        download: False looks only at what is on this machine (the package, local paths, the hub's cache), and does not
            compare digests.
        half: the weights will be held in float16: fp16 files are got where a source has them. Files of either kind that
            are at hand are enough.

    A source that fails in any way is passed over. Raises InputError that lists every source with its reason, and for
    files that are not what the table pins or `iseg models --get` recorded.
    """
    source, place = find_source(backbone, download, half)
    if download:
        check_digests(source, place, half)
    return place


def find_source(backbone: BackboneRow, download: bool = True, half: bool = False) -> tuple[Source, Path]:
    """The source that `locate` takes, and the folder or file; see there. Digests are not compared."""
    sources, wanted = row_sources(backbone), model_files(half)
    found, reasons = first_of(sources, wanted, at_hand)
    if found is None and download:
        found, reasons = first_of(sources, wanted, fetch)
    if found is None:
        raise none_found(f"the weights of {backbone.name}", sources, reasons, "--model PATH")
    return found


def first_of(sources: Sequence[Source], wanted: Wanted, way: Way) -> tuple[tuple[Source, Path] | None, list[str]]:
    """The first source that `way` gets, and why those before it failed."""
    reasons: list[str] = []
    for source in sources:
        try:
            return (source, way(source, wanted)), reasons
        except ChangedWeightsError:
            raise
        except Exception as error:  # hubs' clients raise what they like; each means that this source cannot be had
            reasons.append(reason(error))
    return None, reasons


def none_found(what: str, sources: Sequence[Source], reasons: Sequence[str], option: str) -> InputError:
    """The error that lists all sources with their reasons, each cut so that the whole stays one readable line."""
    if len(sources) == 1 and sources[0].kind == "local":
        return InputError(reasons[0])
    head = f"{what} cannot be had: "
    tail = f". Give a local copy with {option}, or set HF_ENDPOINT to a mirror or HF_HOME to a filled cache"
    taken = len(head) + len(tail) + sum(len(source.id) + len(" (); ") for source in sources)
    room = max(SHORTEST, (LINE - taken) // max(1, len(sources)))
    pairs = zip(sources, reasons, strict=True)
    return InputError(head + "; ".join(f"{source.id} ({_cut(text, room)})" for source, text in pairs) + tail)


def locate_tokenizer(file: Path, backbone: BackboneRow) -> Path:
    """The tokenizer folder for a single-file model, which has none: beside the file, else from the table's sources.

    Raises InputError that says how to provide one.
    """
    beside = file.parent / "tokenizer"
    if beside.is_dir():
        return beside
    sources, wanted = row_sources(load_row(backbone.name)), tokenizer_files()
    for way in (at_hand, fetch):
        found, _ = first_of(sources, wanted, way)
        if found is not None:
            return found[1] / "tokenizer"
    raise InputError(f"{file} holds no tokenizer: put the model's tokenizer folder beside it, as {beside}")


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else text[: room - 3] + "..."
