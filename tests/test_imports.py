"""Imports go one way: the pure steps know no model, the core knows no entry."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "iseg"

# Each layer may import from itself and from earlier ones.
LAYERS = [
    ["errors"],
    ["ahead", "extras", "finite", "texts", "marks", "notation", "shards"],
    ["settings"],
    ["recipe"],
    [
        "absorb",
        "attention",
        "cluster",
        "cross",
        "markov",
        "masks",
        "prompt",
        "refine",
        "regions",
        "seeds",
        "kinds",
        "upsample",
    ],
    ["results"],
    ["backbones", "files"],
    ["cutout", "marked", "passes", "pieces", "solve", "state", "tight", "views", "window"],
    ["shared_model"],
    ["pipeline"],
    ["work"],
    ["tagging", "data"],
    ["clip_maps", "polish"],
    ["evaluate"],
    ["noc", "student"],
    ["page"],
    ["cli", "integrations", "label", "__init__", "__main__"],
]
PURE = ["errors", "marks", *LAYERS[3]]
HEAVY = {"diffusers", "transformers", "accelerate", "huggingface_hub", "yaml", "PIL", "cv2"}


def module_of(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            if node.module == "iseg":
                names |= {f"iseg.{alias.name}" for alias in node.names}
            else:
                names.add(node.module or "")
    return names


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(PACKAGE)) for path in FILES])
def test_imports_go_one_way(path):
    order = {name: depth for depth, layer in enumerate(LAYERS) for name in layer}
    own = module_of(path)
    assert own in order, f"{own} has no place in the order of layers"
    for name in imported(path):
        parts = name.split(".")
        if parts[0] == "iseg" and len(parts) > 1 and parts[1] in order:
            assert order[parts[1]] <= order[own], f"{own} imports {name}"
        if own in PURE:
            assert parts[0] not in HEAVY, f"the pure step {own} imports {name}"


def test_entries_do_not_import_each_other():
    root = PACKAGE.parent
    for folder in ("wsss", "ovs", "ui"):
        for path in (root / folder).rglob("*.py"):
            others = {name.split(".")[0] for name in imported(path)} & ({"wsss", "ovs", "ui"} - {folder})
            assert not others, f"{path} imports {others}"


def test_importing_the_package_loads_no_model_library():
    code = "import sys, iseg; print(sorted({'diffusers', 'transformers', 'gradio'} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
