"""YAML, JSON and CSV that people write: settings, recipes, labels, class files, prompts."""

import json
from pathlib import Path
from random import Random
from typing import Any

from iseg.data.classes import load_classes
from iseg.data.labels import read_labels
from iseg.evaluate.read_config import load_evaluation
from iseg.tagging import load_tagging, read_vocabulary
from scripts.fuzz.case import Case, segment
from scripts.fuzz.images import good_image, write

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcdefghi", "bcdefghij", strict=True)
)
VALUES = ("2024-02-30", "1" * 5000, "1" * 400, "!!int 'x'", "!!bool 'maybe'", "!!timestamp 'x'", "!!binary 'x'",
    "[" * 90,
          "[" * 5000, "0x10", "1:30", "{a: *b}", "null", "[]", "{}", "''", "!!python/name:os.getcwd", "-1", "1e999",
          ".nan",
          "'\\e[31m'", '"\\x1b[31m"', '"\\0"', "many", "x" * 3000, "[[1], [2]]", "{1: 2}", "!", "? a", "- -", "|",
          "'")  # fmt: skip
KEYS = ("iterations", "entropy", "background", "cross_weights", "cluster", "resize", "self_heads", "working_size")
BROKEN = ("", "- a", "7", "a: [", "\t: x", "a: b: c", "&a {b: *a}", BOMB, "\0", "\x1b[31m: 1", "1: 2",
    "a: " + "[" * 60,
          "? [a]\n: b", "%YAML 9.9\n---\na: 1", "--- a\n--- b", "{" * 3000, "a: 'x",
          "key" * 2000 + ": 1")  # fmt: skip
HUGE = "[" * 100_000


def text_bytes(rng: Random, text: str) -> bytes:
    """UTF-8, with or without a byte order mark."""
    return (b"\xef\xbb\xbf" if rng.random() < 0.2 else b"") + text.encode(errors="surrogatepass")


def yaml(rng: Random, folder: Path) -> Case:
    """--config and --recipe files; configurations of a data set and of the tagger."""
    if rng.random() < 0.15:
        text, sort, what = "iterations: 3\nbackground: 0.4\n", "good", "whole"
    elif rng.random() < 0.4:
        text, sort = rng.choice(BROKEN), "bad"
        what = f"broken {text[:12]!r}"
    else:
        key, value = rng.choice(KEYS), rng.choice(VALUES)
        text, sort, what = f"{key}: {value}\n", "either", f"{key}: {value[:20]}"
    raw = text_bytes(rng, text) if rng.random() < 0.95 else b"caf\xe9: \xff"
    sort = "bad" if raw[:3] == b"caf" else sort
    way = rng.randrange(4)
    if way == 0:
        path = write(folder / "a.yaml", raw)
        arguments = segment(folder, good_image(rng, folder), "--classes", "cat", "--config", path)
        return Case(f"--config {what}", sort, **arguments)  # type: ignore[arg-type]
    if way == 1:
        indented = b"recipe:\n  " + raw.removeprefix(b"\xef\xbb\xbf").replace(b"\n", b"\n  ")
        path = write(folder / "a.yaml", indented)
        arguments = segment(folder, good_image(rng, folder), "--classes", "cat", "--recipe", path)
        return Case(f"--recipe {what}", "either", **arguments)
    path = write(folder / "a.yaml", raw)
    if way == 2:
        return Case(f"evaluation {what}", "bad", call=lambda _: load_evaluation(["--config", str(path)], "fuzz"))
    return Case(f"tagging {what}", "bad", call=lambda _: load_tagging(path))


ENTRIES: tuple[Any, ...] = (["dog"], {"dog": 0.5}, [], "dog", 7, None, [7], [["dog"]], {"dog": {}}, ["x" * 3000],
    ["\x1b[31m"],
                            ["unicorn"])  # fmt: skip


def labels(rng: Random, folder: Path) -> Case:
    """Files of image-level labels, JSON and CSV."""
    classes = load_classes("voc20")
    if rng.random() < 0.5:
        entry = rng.choice(ENTRIES)
        content = rng.choice((json.dumps({"a.jpg": entry}), json.dumps([entry]), json.dumps(entry), HUGE, "{",
            "\x00", "",
                              '{"a": ' + "1" * 5000 + "}", '{"a": NaN}', '{"a": ["dog"], "a": 3}'))  # fmt: skip
        good = content == json.dumps({"a.jpg": entry}) and entry in (["dog"], {"dog": 0.5}, [])
        name = rng.choice(("a.json", "a.json", "a.txt"))
    else:
        content = rng.choice(("name,labels\na,dog\n", "name,labels\na,dog;cat\n", "name;labels\na;dog\n", "",
            "name,labels\na\n",
                              "name,labels\na,b,c\n", 'name,labels\n"a,dog\n', "name,labels\na,unicorn\n", "\0",
                              '"' * 200_000,
                              "name,labels\n" + "x" * 200_000 + ",dog\n"))  # fmt: skip
        good, name = content in ("name,labels\na,dog\n", "name,labels\na,dog;cat\n"), "a.csv"
    path = write(folder / name, text_bytes(rng, content))
    sort = "good" if good and name != "a.txt" else "bad" if name == "a.txt" else "either"
    what = f"{name} {content[:30]!r}"
    return Case(what, sort, call=lambda _: read_labels(path, classes))  # type: ignore[arg-type]


def classes(rng: Random, folder: Path) -> Case:
    """Class files, and vocabularies."""
    entry = rng.choice(("cat", "{name: cat, word: kitten}", "{name: cat, focus: x}", "7", "null", "[cat]",
        "{word: cat}", "''",
                        "{name: cat, colour: red}", "2024-02-30", "&a [*a]", "'\\x1b'", "x" * 5000,
                        "{name: [cat]}"))  # fmt: skip
    text = rng.choice((f"classes: [{entry}]", f"classes: [{entry}, {entry}]", f"classes: {entry}", f"- {entry}", BOMB))
    path = write(folder / "a.yaml", text_bytes(rng, text))
    good = text in ("classes: [cat]", "classes: [{name: cat, word: kitten}]")
    bad = not text.startswith("classes: [") or f"[{entry}, {entry}]" in text
    if rng.random() < 0.7:
        sort = "good" if good else "bad" if bad else "either"
        return Case(f"classes {text[:30]!r}", sort, call=lambda _: load_classes(path))  # type: ignore[arg-type]
    words = rng.choice(
        ("", "\n\n", "cat\ncat\n", "cat\ndog\n", "#x\n", "\x00", "\x1b[31m\n" * 2, "x" * 9000, "a;b\n", " \n cat ")
    )
    path = write(folder / "a.txt", text_bytes(rng, words))
    sort = "bad" if words in ("", "\n\n", "cat\ncat\n", "#x\n") else "either"
    return Case(f"vocabulary {words[:20]!r}", sort, call=lambda _: read_vocabulary(str(path)))  # type: ignore[arg-type]
