"""Bad input of `iseg segment`: one clear line on stderr, the right exit code, nothing written."""

import json
import re
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from iseg.cli import main
from iseg.errors import InputError

TINY = Path(__file__).parent.parent / "iseg" / "models" / "tiny"
IMAGE, USAGE = 1, 2  # exit codes: an image failed; bad usage

YAML = {
    "broken.yaml": "classes: [cat",
    "list.yaml": "- cat\n- dog",
    "empty.yaml": "",
    "unknown.yaml": "classes: cat\nitterations: 3",
    "type.yaml": "classes: cat\niterations: many",
    "range.yaml": "classes: cat\niterations: -3",
    "nested.yaml": "recipe: {iterations: 3}",
    "model.yaml": "classes: cat\nmodel: 7",
    "points.yaml": "points: [[1, 2, 3]]",
    "words.yaml": "classes: [cat, [dog]]",
    "object.yaml": "classes: !!python/object/apply:os.getcwd []",
    "no_recipe.yaml": "iterations: 3",
    "bad_recipe.yaml": "recipe: {entropy: strong}",
    "key_recipe.yaml": "recipe: {entropie: 1}",
    "heads.yaml": "recipe: {self_heads: [0, 9], cross_weights: {12: 1}}",
    "no_heads.yaml": "recipe: {self_heads: [], cross_weights: {12: 1}}",
    "resolution.yaml": "recipe: {cross_weights: {99: 1}}",
    "save.yaml": "classes: cat\nsave:",
    "prompt.yaml": "classes: cat\nprompt:",
    "no_model.yaml": "classes: cat\nmodel: []",
    "latin.yaml": "classes: caf\xe9",
}

# (arguments, exit code, what the line says); "@" stands for the folder of the fixture
CASES = [
    # images and paths
    ("@/missing.png --classes cat", IMAGE, r"@/missing\.png: no such image file"),
    ("@/text.png --classes cat", IMAGE, r"@/text\.png: not an image"),
    ("@/zero.png --classes cat", IMAGE, r"@/zero\.png: not an image"),
    ("@/cut.png --classes cat", IMAGE, r"@/cut\.png: the image is corrupt"),
    ("@/cut.jpg --classes cat", IMAGE, r"@/cut\.jpg: the image is corrupt"),
    ("@/huge.png --classes cat", IMAGE, r"@/huge\.png: too large: expected at most [\d,]+ pixels"),
    ("@/void --classes cat", USAGE, r"@/void: no image in this folder: expected files ending in"),
    ("@/hidden --classes cat", USAGE, r"@/hidden: no image in this folder"),
    ("'' --classes cat", USAGE, r"an image path is empty"),
    ("@/" + "n" * 300 + ".png --classes cat", USAGE, r"not a path that can be read: File name too long"),
    ("--classes cat", USAGE, r"no image was given"),
    ("@/good.png --classes cat --out @", USAGE, r"would replace the image .*good\.png: give another folder with --out"),
    ("@/good.png --classes cat --out @/text.png", USAGE, r"--out @/text\.png is a file: expected a folder"),
    (
        "@/good.png --classes cat --out @/text.png/x",
        USAGE,
        r"--out @/text\.png/x cannot be made: @/text\.png is a file",
    ),
    # class words
    ("@/good.png --classes ''", USAGE, r"--classes '': no class word"),
    ("@/good.png --classes ' '", USAGE, r"--classes ' ': no class word"),
    ("@/good.png --classes ';'", USAGE, r"word 1 is ''"),
    ("@/good.png --classes 'cat;;dog'", USAGE, r"word 2 is '': expected letters"),
    ("@/good.png --classes 'cat; !!'", USAGE, r"word 2 is '!!'"),
    ("@/good.png --classes 'cat; Cat'", USAGE, r"'Cat' is given twice"),
    ("@/good.png --classes 'cat; unicorn'", USAGE, r"tiny does not know 'unicorn': it knows plane, bicycle, .*tv"),
    ("@/good.png --classes", USAGE, r"--classes.*expected one argument"),
    ("@/good.png", USAGE, r"nothing to look for was given: expected exactly one of --classes, --vocabulary, --points"),
    ("@/good.png --classes cat --points 1,1", USAGE, r"--classes and --points was given"),
    # points, lines, boxes
    ("@/good.png --points ''", USAGE, r"--points: no point was given"),
    ("@/good.png --points 5", USAGE, r"--points: '5' is not a point: expected pixels 'x,y x,y \.\.\.'"),
    ("@/good.png --points 5,6,7", USAGE, r"--points: '5,6,7' is not a point"),
    ("@/good.png --points 5,b", USAGE, r"--points: 'b' is not a number"),
    ("@/good.png --points 5,nan", USAGE, r"--points: 'nan' is not a number"),
    ("@/good.png --points 5,inf", USAGE, r"--points: 'inf' is not a number"),
    ("@/good.png --points 40,5", IMAGE, r"@/good\.png: point \(40, 5\) is outside the image: x must be in 0\.\.39"),
    ("@/good.png --points=-1,5", IMAGE, r"point \(-1, 5\) is outside the image"),
    ("@/good.png --points 1,1 --negative 5,24", IMAGE, r"point \(5, 24\) is outside .*y in 0\.\.23"),
    ("@/good.png --classes cat --negative 5,5", USAGE, r"--negative was given without --points"),
    ("@/good.png --line 5", USAGE, r"--line: '5' is not a point"),
    ("@/good.png --line '1,1 50,1'", IMAGE, r"point \(50, 1\) is outside"),
    ("@/good.png --box 1,2,3", USAGE, r"--box: '1,2,3' has 3 numbers: expected corners in pixels"),
    ("@/good.png --box 1,2,3,x", USAGE, r"--box: 'x' is not a number"),
    ("@/good.png --box 5,5,5,9", USAGE, r"--box: '5,5,5,9' is empty"),
    ("@/good.png --box 5,5,99,9", IMAGE, r"@/good\.png: box 5,5,99,9 is outside the image: x must be in 0\.\.40"),
    ("@/good.png --box=-5,5,9,9", IMAGE, r"box -5,5,9,9 is outside the image"),
    # numbers and choices
    ("@/good.png --classes cat --iterations many", USAGE, r"iterations: Expected a int\. Got value: many"),
    ("@/good.png --classes cat --iterations 2.5", USAGE, r"iterations: Expected a int"),
    ("@/good.png --classes cat --iterations -1", USAGE, r"iterations is -1: expected a number in 0\.\.1000"),
    ("@/good.png --classes cat --iterations", USAGE, r"--iterations: expected one argument"),
    ("@/good.png --classes cat --iterations 99999", USAGE, r"iterations is 99999"),
    ("@/good.png --classes cat --iterations 0x10", USAGE, r"--iterations is '0x10': expected a decimal number"),
    ("@/good.png --classes cat --cross_weights '{12: 0x10}'", USAGE, r"--cross_weights is '0x10': expected a decimal"),
    (
        "@/good.png --classes cat --entropy " + "1" * 400,
        USAGE,
        r"--entropy is 1+ \.\.\. 1+: expected a num",
    ),
    (
        "@/good.png --classes cat --iterations " + "1" * 5000,
        USAGE,
        r"--iterations is '1+ \.\.\. 1+': expected",
    ),
    ("@/good.png --classes cat --prompt " + "y" * 5000, USAGE, r"prompt is 'y{90,199} \.\.\. y+': expected a template"),
    ("@/good.png --classes cat --backbone " + "y" * 5000, USAGE, r"backbone 'y{90,199} \.\.\. y+' was given"),
    ("@/good.png --classes cat --recipe " + "y" * 5000, USAGE, r"no configuration 'y{90,199} \.\.\. y+': expected"),
    ("@/good.png --classes cat --model " + "y" * 5000, USAGE, r"no model 'y{90,199} \.\.\. y+': expected"),
    ("@/good.png --classes cat --entropy nan", USAGE, r"entropy: Expected a float\. Got value: nan"),
    ("@/good.png --classes cat --entropy=-0.1", USAGE, r"entropy is -0\.1"),
    ("@/good.png --classes cat --background powr", USAGE, r"background: expected one of .*power.*float.*, got powr"),
    (
        "@/good.png --classes cat --background 1.5",
        USAGE,
        r"background is 1\.5: expected power or a threshold in 0\.\.1",
    ),
    ("@/good.png --classes cat --enhancement big", USAGE, r"enhancement: Expected a float"),
    ("@/good.png --classes cat --working_size 0", USAGE, r"working_size is 0"),
    ("@/good.png --classes cat --entropy_clamp_max -1", USAGE, r"entropy_clamp_max is -1"),
    ("@/good.png --classes cat --cross_weights {}", USAGE, r"cross_weights is empty"),
    ("@/good.png --classes cat --cross_weights '{12: -1}'", USAGE, r"cross_weights is \{12: -1"),
    ("@/good.png --classes cat --cluster maybe", USAGE, r"cluster: Expected a bool"),
    ("@/good.png --classes cat --resize bicubic", USAGE, r"resize: .*opencv.*torch"),
    (
        "@/good.png --classes cat --prompt 'a photo'",
        USAGE,
        r"prompt is 'a photo': expected a template that holds \{classes\} once",
    ),
    (
        "@/good.png --classes cat --save mask,video",
        USAGE,
        r"--save: 'video' is not known: expected any of mask, overlay",
    ),
    ("@/good.png --classes cat --save ''", USAGE, r"--save: '' is not known"),
    ("@/good.png --classes cat --animation mp4", USAGE, r"animation: .*webp.*gif"),
    ("@/good.png --classes cat --dtype float8", USAGE, r"dtype: .*float32"),
    ("@/good.png --classes cat --device gpu9", USAGE, r"device 'gpu9' cannot be used here: expected auto, cpu"),
    ("@/good.png --classes cat --colour red", USAGE, r"unrecognized arguments: --colour red"),
    ("@/good.png --classes cat --iter 3", USAGE, r"unrecognized arguments: --iter 3"),
    # YAML
    ("@/good.png --config @/missing.yaml", USAGE, r"--config @/missing\.yaml: no such file"),
    ("@/good.png --config @/broken.yaml", USAGE, r"@/broken\.yaml: not readable as YAML"),
    ("@/good.png --config @/latin.yaml", USAGE, r"@/latin\.yaml: not readable as YAML"),
    ("@/good.png --config @/list.yaml", USAGE, r"@/list\.yaml: expected a mapping of settings, found list"),
    ("@/good.png --config @/empty.yaml", USAGE, r"@/empty\.yaml: expected a mapping"),
    ("@/good.png --config @/unknown.yaml", USAGE, r"@/unknown\.yaml: .*itterations"),
    ("@/good.png --config @/type.yaml", USAGE, r"@/type\.yaml: iterations: Expected a int\. Got value: many"),
    ("@/good.png --config @/range.yaml", USAGE, r"iterations is -3"),
    (
        "@/good.png --config @/nested.yaml",
        USAGE,
        r"@/nested\.yaml: 'recipe' holds settings: give this file with --recipe",
    ),
    ("@/good.png --config @/model.yaml", USAGE, r"@/model\.yaml: model is 7: expected a text"),
    ("@/good.png --config @/points.yaml", USAGE, r"--points: '1(\.0)?,2(\.0)?,3(\.0)?' is not a point"),
    ("@/good.png --config @/words.yaml", USAGE, r"@/words\.yaml: classes"),
    ("@/good.png --config @/object.yaml", USAGE, r"@/object\.yaml: not readable as YAML"),
    ("@/good.png --config @/save.yaml", USAGE, r"save is null: expected a value"),
    ("@/good.png --config @/prompt.yaml", USAGE, r"prompt is null: expected a value"),
    ("@/good.png --config @/no_model.yaml", USAGE, r"@/no_model\.yaml: model is \[\]: expected a text"),
    ("@/good.png --line '1,1 1000000000,1'", IMAGE, r"point \(1e\+09, 1\) is outside the image"),
    ("@/good.png --boxes 1,1,5,5 --names cat;dog", USAGE, r"--names has 2 names for 1 boxes: expected one each"),
    ("@/good.png --mask @/missing.png", IMAGE, r"@/missing\.png: no such image file"),
    ("@/good.png --mask @/whole.jpg", IMAGE, r"mask @/whole\.jpg has 400x240 pixels: expected 40x24 pixels"),
    ("@/good.png --config", USAGE, r"--config: expected one argument"),
    # recipes and heads
    (
        "@/good.png --classes cat --recipe nonsense",
        USAGE,
        r"no configuration 'nonsense': expected a YAML file or one of",
    ),
    ("@/good.png --classes cat --recipe @/no_recipe.yaml", USAGE, r"@/no_recipe\.yaml: expected a section 'recipe:'"),
    ("@/good.png --classes cat --recipe @/bad_recipe.yaml", USAGE, r"@/bad_recipe\.yaml: .*entropy"),
    ("@/good.png --classes cat --recipe @/key_recipe.yaml", USAGE, r"@/key_recipe\.yaml: unknown key 'entropie'"),
    ("@/good.png --classes cat --recipe @/heads.yaml", USAGE, r"self_heads names head 9: the layers .* have 2 heads"),
    ("@/good.png --classes cat --recipe @/no_heads.yaml", USAGE, r"self_heads is empty: expected heads in 0\.\.1"),
    (
        "@/good.png --classes cat --recipe @/resolution.yaml",
        USAGE,
        r"names resolution 99: backbone tiny has \[12, 24\]",
    ),
    # models
    ("@/good.png --classes cat --model nonsense", USAGE, r"no model 'nonsense': expected .*sd21-base, .*tiny"),
    ("@/good.png --classes cat --model @/void", USAGE, r"@/void is not a Stable Diffusion folder .*it lacks unet"),
    ("@/good.png --classes cat --model @/text.png", USAGE, r"@/text\.png"),
    ("@/good.png --classes cat --backbone nonsense --model @/void", USAGE, r"no backbone 'nonsense': expected one of"),
    ("@/good.png --classes cat --model @/no_weights --backbone tiny", USAGE, r"unet has no \.safetensors file"),
    (
        "@/good.png --classes cat --model @/bad_weights --backbone tiny",
        USAGE,
        r"@/bad_weights/unet/.*: truncated or damaged",
    ),
    ("@/good.png --classes cat --model @/bad_config --backbone tiny", USAGE, r"@/bad_config cannot be loaded"),
    ("@/good.png --classes cat --model @/no_vae --backbone tiny", USAGE, r"@/no_vae is not .*it lacks vae"),
    (
        "@/good.png --classes cat --model @/tiny --backbone sd21-base",
        USAGE,
        r"looks like the embedded model",
    ),
]


def png_header(width, height):
    """A PNG that claims a size and holds no pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b""))


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """A folder with good and bad images, YAML files and model folders, and an earlier result in `out`."""
    folder = tmp_path_factory.mktemp("bench")
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8))
    noise.save(folder / "good.png")
    noise.resize((400, 240)).save(folder / "whole.jpg")
    for name, source in (("cut.png", "good.png"), ("cut.jpg", "whole.jpg")):
        data = (folder / source).read_bytes()
        (folder / name).write_bytes(data[: len(data) // 2])
    (folder / "text.png").write_text("not an image")
    (folder / "zero.png").write_bytes(b"")
    (folder / "huge.png").write_bytes(png_header(100_000, 100_000))
    (folder / "void").mkdir()
    (folder / "hidden" / ".trash").mkdir(parents=True)
    noise.save(folder / "hidden" / ".trash" / "a.png")
    noise.save(folder / "hidden" / ".a.png")
    for name, text in YAML.items():
        (folder / name).write_bytes(text.encode("latin-1"))
    for name in ("tiny", "no_weights", "bad_weights", "bad_config", "no_vae"):
        shutil.copytree(TINY, folder / name)
    (folder / "no_weights" / "unet" / "diffusion_pytorch_model.safetensors").rename(folder / "no_weights" / "a.bin")
    weights = folder / "bad_weights" / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    (folder / "bad_config" / "unet" / "config.json").write_text("{")
    shutil.rmtree(folder / "no_vae" / "vae")
    (folder / "out").mkdir()
    (folder / "out" / "good.png").write_bytes(b"earlier")
    return folder


def snapshot(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def split(line, folder):
    """The arguments of a table line; quotes hold one together."""
    parts = re.findall(r"--\w+='[^']*'|'[^']*'|\S+", line)
    return [part.strip("'").replace("@", str(folder)) for part in parts]


@pytest.mark.parametrize(("line", "code", "message"), CASES, ids=[str(n) for n in range(len(CASES))])
def test_bad_input_is_one_line(bench, capsys, line, code, message):
    arguments = split(line, bench)
    defaults = {"--out": str(bench / "out"), "--model": "tiny"}
    for option, value in defaults.items():
        if option not in arguments and not line.endswith(("--classes", "--iterations", "--config", "model.yaml")):
            arguments += [option, value]
    before = snapshot(bench)
    assert main(["segment", *arguments]) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    assert len(said.err) < 700
    assert re.search(message.replace("@", re.escape(str(bench))), said.err), said.err
    assert "Traceback" not in said.err
    assert snapshot(bench) == before


def test_the_table_is_long():
    assert len({line for line, _, _ in CASES}) == len(CASES) >= 60


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["segmnt"], "invalid choice: 'segmnt'"),
        (["--colour"], "required: COMMAND|unrecognized"),
        (["models", "--colour"], "unrecognized arguments: --colour"),
    ],
)
def test_bad_command_is_one_line(capsys, arguments, message):
    assert main(arguments) == USAGE
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert re.search(message, said.err)


def test_python_callers_hear_of_unknown_words_too(tiny, scene):
    tiny.set_image(scene)
    with pytest.raises(InputError, match="tiny does not know 'unicorn': it knows plane"):
        tiny.segment(classes=["cat", "unicorn"])


def test_full_disk_is_one_line_and_leaves_nothing(bench, tiny, monkeypatch, capsys):
    """The write of the first result fails, as on a full disk: nothing half-written stays, what was there does."""
    from iseg.cli import worker
    from iseg.files import export

    def full(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(worker, "load_model", lambda job: tiny)
    monkeypatch.setattr(export.Path, "write_bytes", full)
    before = snapshot(bench)
    assert (
        main(["segment", str(bench / "good.png"), "--classes", "cat", "--model", "tiny", "--out", str(bench / "out")])
        == IMAGE
    )
    said = capsys.readouterr()
    assert said.err == f"error: {bench / 'out' / 'good.png'}: cannot be written: No space left on device\n"
    assert snapshot(bench) == before


def test_sidecar_is_json_after_a_good_run(bench, tiny, monkeypatch, tmp_path):
    """The same bench segments when nothing is wrong."""
    from iseg.cli import worker

    monkeypatch.setattr(worker, "load_model", lambda job: tiny)
    assert (
        main(["segment", str(bench / "good.png"), "--classes", "cat", "--model", "tiny", "--out", str(tmp_path)]) == 0
    )
    assert json.loads((tmp_path / "good.json").read_text())["classes"][0]["name"] == "cat"
