"""Text, YAML and JSON that people write: read in bounds, and whatever is wrong with it is one line naming the file."""

import json
import re
from pathlib import Path
from typing import Any

import yaml

from iseg.errors import InputError, echo, printable

LARGEST_YAML = 1 << 20  # characters
MOST_NODES, DEEPEST = 100_000, 50  # of a YAML document, what anchors repeat counted each time
LONGEST_REASON = 240  # characters of what a parser says


def _integer(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    return int(loader.construct_scalar(node))


class _Loader(yaml.SafeLoader):
    """Plain values only; a date and 0x10 stay texts, 010 is ten, and 1e-3 is a number."""

    yaml_implicit_resolvers = {  # noqa: RUF012  # as PyYAML declares it
        first: [each for each in known if not each[0].endswith((":timestamp", ":float", ":int"))]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\d[\d_]*\.[\d_]*([eE][-+]?\d+)?|\d[\d_]*[eE][-+]?\d+|\.\d[\d_]*([eE][-+]?\d+)?"
               r"|\.(inf|Inf|INF))$|\.(nan|NaN|NAN)$"),
    list("-+0123456789."),
)  # fmt: skip
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"[-+]?\d[\d_]*$"), list("-+0123456789"))
_Loader.add_constructor("tag:yaml.org,2002:int", _integer)


def is_file(path: str | Path) -> bool:
    """Whether a path names a file; False for what is no path at all (too long, NUL)."""
    try:
        return Path(path).is_file()
    except (OSError, ValueError):
        return False


def exists(path: str | Path) -> bool:
    """Whether there is a file or folder of a path; False for what is no path at all (too long, NUL)."""
    try:
        return Path(path).exists()
    except (OSError, ValueError):
        return False


def read_text(path: Path, what: str = "text") -> str:
    """A UTF-8 file, with or without a byte order mark. Raises InputError naming it."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: not readable as {what}: {error.strerror or error}") from None
    except ValueError as error:  # not UTF-8; a NUL in the path
        raise InputError(f"{path}: not readable as {what}: {_reason(error)}") from None


def read_json(path: Path, what: str = "JSON") -> Any:
    """The value of a JSON file. Raises InputError naming it for whatever is wrong with it."""
    try:
        return json.loads(read_text(path, what))
    except InputError:
        raise
    except RecursionError:
        raise InputError(f"{path}: not readable as {what}: it is nested too deeply") from None
    except ValueError as error:  # also a number of thousands of digits
        raise InputError(f"{path}: not readable as {what}: {_reason(error)}") from None


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file that holds a mapping. Raises InputError naming the file otherwise."""
    try:
        content = load_yaml(read_text(path, "YAML"))
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not readable as YAML: {_reason(error)}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a mapping of settings, found {type(content).__name__}")
    for key in content:
        if not isinstance(key, str):
            raise InputError(f"{path}: key {echo(key)} is a {type(key).__name__}: expected a text")
    return content


def load_yaml(text: str) -> Any:
    """The plain value of a YAML text. Raises yaml.YAMLError, and nothing else, for whatever is wrong with it."""
    if len(text) > LARGEST_YAML:
        raise yaml.YAMLError(f"it has {len(text):,} characters: expected at most {LARGEST_YAML:,}")
    try:
        loader = _Loader(text)  # looks for characters that no YAML holds
        node = loader.get_single_node()
        if node is None:
            return None
        _count(node, {}, 0)
        return loader.construct_document(node)
    except yaml.YAMLError:
        raise
    except RecursionError:
        raise yaml.YAMLError("it is nested too deeply") from None
    except Exception as error:  # PyYAML's own on values like "!!int x" and "!!bool maybe": of many types
        raise yaml.YAMLError(f"it holds a value that is not what its tag says: {_reason(error)}") from None


def _count(node: yaml.Node, known: dict[int, int], depth: int) -> int:
    """Nodes below and with a node, those of an anchor again at each place. YAMLError for too many, or a circle."""
    if id(node) in known:
        if not known[id(node)]:
            raise yaml.YAMLError("an anchor holds itself")
        return known[id(node)]
    if depth > DEEPEST:
        raise yaml.YAMLError(f"it is nested too deeply: expected at most {DEEPEST} levels")
    known[id(node)] = 0  # being counted
    children = node.value if isinstance(node, yaml.CollectionNode) else []
    if isinstance(node, yaml.MappingNode):
        children = [part for pair in node.value for part in pair]
    total = 1
    for child in children:
        total += _count(child, known, depth + 1)
        if total > MOST_NODES:
            raise yaml.YAMLError(f"it holds more than {MOST_NODES:,} values, anchors counted each time")
    known[id(node)] = total
    return total


def _reason(error: Exception) -> str:
    """What a parser says, on one line; of an error without words its type."""
    return printable(error, LONGEST_REASON) or type(error).__name__
