"""What is at hand of the table's backbones, and getting what is not."""

from dataclasses import dataclass, replace
from pathlib import Path

from iseg.backbones.fetch import Wanted, at_hand, fetch, reason
from iseg.backbones.find import find_source, first_of, none_found, row_sources
from iseg.backbones.model_files import model_files
from iseg.backbones.read import HALF, PARTS, variant_of
from iseg.backbones.records import ChangedWeightsError, check_digests, digest_state, used_files, write_record
from iseg.backbones.sources import Source
from iseg.backbones.table import BackboneRow
from iseg.errors import InputError


@dataclass(frozen=True)
class Stock:
    """What is at hand of one backbone.

    Attributes:
        weights: folder or file.
        source: id of the source that it came from.
        bytes: size of the files that are used.
        files: precision of the files, "plain" (as trained) or "fp16", or both.
        digests: what is known of their SHA-256, see `iseg.backbones.records.State`.
        pinned: whether the table says what their SHA-256 must be.
    """

    weights: str
    source: str
    bytes: int
    files: str
    digests: str
    pinned: bool


@dataclass(frozen=True)
class Got:
    """What `get` got: the source, the folder, the record of digests, why the hub was not asked (None: it was).

    The embedded model changes with the installation and has no record.
    """

    source: Source
    place: Path
    record: Path | None
    offline: str | None


def take_stock(row: BackboneRow) -> Stock | None:
    """What is at hand of a backbone; None if its weights are not. Reads headers, no weights, no network."""
    try:
        source, place = find_source(row, download=False)
    except InputError:
        return None
    used = used_files(place, half=False) | used_files(place, half=True)
    weights = [file for name, file in used.items() if name.split("/")[0] in PARTS and file.suffix == ".safetensors"]
    kinds = sorted({"fp16" if variant_of([file]) == HALF else "plain" for file in weights or used.values()})
    return Stock(
        weights=str(place),
        source=source.id,
        bytes=sum(file.stat().st_size for file in used.values()),
        files=" and ".join(reversed(kinds)),
        digests=digest_state(source, used),
        pinned=bool(source.sha256),
    )


def get(row: BackboneRow, half: bool, renew: bool = False) -> Got:
    """Get a backbone's weights, or complete those at hand; compare them with the pins and the record, and record them.

    Args:
        row: of the table.
        half: the weights will be held in float16: fp16 files are got where there are some.
        renew: replace the record instead of comparing with it.

    What is complete at hand is compared with its hub, and kept where the hub does not answer.

    Raises InputError listing every source with its reason, for files that are not what is pinned or recorded, and for
    a state folder that cannot be written.
    """
    sources, wanted = row_sources(row), model_files(half)
    held, _ = first_of(sources, wanted, at_hand)
    found, offline = None, None

    def compared(source: Source, wanted: Wanted) -> Path:
        """Fetch; a folder that is not what it must be does not take the place of an earlier one in the cache."""

        def check(folder: Path) -> None:
            wanted.check(folder)
            check_digests(source, folder, half, recorded=not renew)

        return fetch(source, replace(wanted, check=check))

    if held is not None:
        try:
            found = (held[0], compared(held[0], wanted))
        except ChangedWeightsError:
            raise
        except InputError:  # it is damaged, or is no longer what is wanted: the others are asked
            sources = [source for source in sources if source is not held[0]] + [held[0]]
        except Exception as error:  # hubs' clients raise what they like
            found, offline = held, reason(error)
    if found is None:
        found, reasons = first_of(sources, wanted, compared)
    if found is None:
        raise none_found(f"the weights of {row.name}", sources, reasons, "--model PATH")
    source, place = found
    if offline:
        check_digests(source, place, half, recorded=not renew)
    record = None if source.kind == "package" else write_record(source, place, half, renew)
    return Got(source, place, record, offline)
