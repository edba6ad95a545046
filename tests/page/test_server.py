"""The page's server without Gradio: uploads, memory, objects, requests, exports."""

import asyncio
import base64
import io
import json
import os
import re
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from page_model import GRID, ColourModel, blocks_image
from PIL import Image
from pycocotools import mask as coco_mask

from iseg import seeds, solve
from iseg.backbones.table import load_row
from iseg.errors import InputError
from iseg.page import gallery
from iseg.page.api import Api
from iseg.page.engine import Engine
from iseg.page.images import Images
from iseg.page.model import load_model
from iseg.page.objects import parse_object
from iseg.page.people import ImageGone, People, Superseded
from iseg.page.settings import UiSettings
from iseg.page.uploads import decode, view_size
from iseg.results import Attended
from iseg.settings import find_config, read_yaml

ROOT = Path(__file__).parent.parent.parent
TOKEN, OTHER = "0" * 32, "1" * 32
SETTINGS = {"entropy": 0.1, "enhancement": 1.6, "iterations": 5, "threshold": 0.5}


def encoded(image: np.ndarray, form: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, form, **options)
    return buffer.getvalue()


def marks(**given) -> dict:
    return {"marks": given, **SETTINGS}


def words(*phrases: str, index: int = 0) -> dict:
    return {"words": {"phrases": list(phrases), "index": index}, **SETTINGS}


class Page:
    """A client of the server: calls requests by name with its token."""

    def __init__(self, engine: Engine, api: Api | None = None, token: str = TOKEN) -> None:
        self.api = api or Api(engine)
        self.calls = {function.__name__: function for function in self.api.functions()}
        self.token = token

    def ask(self, call: str, /, **request) -> dict:
        return self.calls[call]({"token": self.token, **request})

    def get(self, call: str, /, **request) -> dict:
        answer = self.ask(call, **request)
        assert answer["ok"], answer
        return answer

    def upload(self, image: np.ndarray, name: str = "blocks.png") -> str:
        return self.get("upload", data=base64.b64encode(encoded(image)).decode(), name=name)["image"]

    def steps(self, image: str, wanted: dict, slot: str = "a") -> np.ndarray:
        answer = self.get("solve", image=image, object=wanted, slot=slot)
        return np.frombuffer(base64.b64decode(answer["steps"]), "<f4").reshape(answer["shape"])

    def export(self, image: str, kind: str, *objects: dict, opacity: float = 0.5) -> bytes:
        answer = self.get("export", image=image, kind=kind, objects=list(objects), opacity=opacity)
        return self.fetch(answer)

    def fetch(self, answer: dict) -> bytes:
        """The file that an export's answer tells of."""
        waiting = self.api.downloads.get(answer["key"])
        assert waiting is not None
        assert waiting.name == answer["name"]
        return waiting.path.read_bytes()


@pytest.fixture
def engine() -> Engine:
    made = Engine(UiSettings(), lambda settings: (ColourModel(), ""))
    made.load()
    return made


@pytest.fixture
def page(engine):
    made = Page(engine)
    yield made
    made.api.close()


def truth(side: str, size=(90, 150)) -> np.ndarray:
    image = blocks_image(*size)
    return image[..., 0 if side == "left" else 2] == 255


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return (a & b).sum() / (a | b).sum()


# ---- uploads


def test_uploads_are_decoded_upright_without_metadata():
    image = blocks_image(20, 30)
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees
    turned = decode(encoded(image, exif=exif), UiSettings())
    assert turned.shape == (30, 20, 3)
    np.testing.assert_array_equal(turned, np.rot90(image, -1))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not an image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "not an image"),
        (encoded(blocks_image())[:200], "corrupt"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 100, "(not an image|corrupt)"),
        (encoded(np.zeros((400, 400, 3), np.uint8)), "160000 pixels|400 x 400 pixels: expected at most 0.1"),
        (bytes(300_000), "0.3 MB: expected at most 0.2 MB"),
    ],
)
def test_bad_uploads_are_one_clear_line(data, message):
    with pytest.raises(InputError, match=message) as error:
        decode(data, UiSettings(max_upload_mb=0.2, max_megapixels=0.1))
    assert "\n" not in str(error.value)


def claiming(width: int, height: int) -> bytes:
    """A PNG of under 200 bytes whose header claims a size."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("size", [(60_000, 60_000), (12_000, 9_000), (8_000, 8_000)])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(size):
    with pytest.raises(InputError, match="expected at most 50 megapixels"):
        decode(claiming(*size), UiSettings())


@pytest.mark.parametrize(
    ("size", "expected"), [((90, 150), (90, 150)), ((4000, 6000), (683, 1024)), ((1, 9000), (1, 1024))]
)
def test_view_size(size, expected):
    assert view_size(size, 1024) == expected


# ---- memory


def attended(grid: int) -> Attended:
    """A pass that holds 4 grid^4 bytes."""
    return Attended(None, torch.zeros(grid**2, grid**2), [], [], (5, 5))


def test_images_are_bounded_in_bytes_and_the_least_recently_used_go_first():
    pixels = np.zeros((5, 5, 3), np.uint8)  # 75 bytes
    images = Images(1000)
    for name in "abc":
        images.add(name, pixels)
        images.get(name).attended("empty", lambda: attended(3))  # 324 bytes
    images.trim()
    assert images.get("a").kept == 0  # a's pass had to make room, its pixels had not
    assert images.get("b").kept == images.get("c").kept == 1
    images.get("b").attended("words", lambda: attended(3))
    images.trim()
    with pytest.raises(ImageGone):
        images.get("a")
    assert images.get("c").kept == 0
    assert images.get("b").kept == 2
    images.get("b").attended("huge", lambda: attended(9))
    images.trim()
    assert len(images) == images.get("b").kept == 1  # what was just asked for stays
    assert images.get("b").holds("huge")


def test_people_see_only_their_own_images():
    people = People()
    people.own(TOKEN, "x", "cat.png")
    assert people.name_of(TOKEN, "x") == "cat.png"
    with pytest.raises(ImageGone):
        people.name_of(OTHER, "x")


def test_the_latest_request_of_a_slot_wins():
    people = People()
    first, elsewhere, other = people.begin(TOKEN, "a"), people.begin(TOKEN, "b"), people.begin(OTHER, "a")
    first()
    second = people.begin(TOKEN, "a")
    with pytest.raises(Superseded):
        first()
    second(), elsewhere(), other()


def test_attention_is_kept_within_the_limit():
    limited = Engine(UiSettings(cache_mb=5), lambda settings: (ColourModel(), ""))
    limited.load()
    page = Page(limited)
    first = page.upload(blocks_image())
    page.steps(first, marks(points=[[30, 45]]))
    for height in range(60, 66):  # each pass holds 1.3 MB, and as much again once reduced
        page.steps(page.upload(blocks_image(height)), marks(points=[[30, 30]]))
    assert limited.nbytes <= 5e6
    answer = page.ask("solve", image=first, object=marks(points=[[30, 45]]), slot="a")
    assert answer["code"] == "image_gone"


# ---- objects


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"marks": None}, "needs marks, words, regions or strokes"),
        ({"marks": {"points": [[1]]}}, "expected 2 numbers"),
        ({"marks": {"points": [[1, float("nan")]]}}, "points is nan"),
        ({"marks": {"points": "12"}}, "points is a str"),
        ({"marks": {"lines": {}}}, "lines is not a list"),
        ({"marks": {"points": [[0, 0]] * 30_000}}, "30000 marks"),
        ({"words": {"phrases": 5, "index": 0}}, "list of phrases"),
        ({"strokes": [{"points": [], "radius": 2}]}, "a stroke has no point"),
        ({"strokes": [{"points": [[1, 1]], "radius": 0}]}, "radius of a stroke is 0"),
        ({"strokes": [{"points": [[0, 0], [9000, 9000]] * 90, "radius": 900}]}, "cover too much"),
        ({"clean": {"largest": 1}}, "clean is"),
        ({"clean": {"polish": True}}, "clean is"),
        ({"entropy": 2}, "entropy is 2"),
        ({"entropy": True}, "entropy is True"),
        ({"iterations": 21}, "iterations is 21"),
        ({"threshold": -0.1}, "threshold is -0.1"),
        ({"colour": "red"}, "colour is 'red'"),
        ({"name": 5}, "name is a int"),
        ({"name": "x" * 401}, "401 letters"),
    ],
)
def test_bad_objects_are_named(change, message):
    with pytest.raises(InputError, match=message):
        parse_object({**marks(points=[[1, 1]]), **change}, UiSettings())


@pytest.mark.parametrize(
    ("phrases", "message"),
    [([], "nothing"), ([" "], "nothing"), (["x"] * 101, "101 phrases"), ([3], "phrase is a int")],
)
def test_bad_phrases_are_named(phrases, message):
    with pytest.raises(InputError, match=message):
        parse_object(words(*phrases), UiSettings())


# ---- requests


def test_each_kind_of_prompt_finds_its_block(page):
    image = page.upload(blocks_image())
    prompts = {
        "points": marks(points=[[30, 45], [50, 50]]),
        "line": marks(lines=[[[20, 40], [40, 60], [50, 50]]]),
        "box": marks(boxes=[[15, 22, 60, 68]]),
        "words": words("red", "blue"),
    }
    for kind, wanted in prompts.items():
        labels = np.array(Image.open(io.BytesIO(page.export(image, "mask", wanted))))
        assert iou(labels == 1, truth("left")) > 0.8, kind


def test_a_solve_equals_the_engine(page, engine):
    image = page.upload(blocks_image())
    model = ColourModel()
    recipe = model.recipe.changed(iterations=20)
    attended = model.attend_latents(model.encode([blocks_image()], recipe), [[]], [(90, 150)], recipe)[0]
    expected = solve.refine_seeds(
        attended,
        seeds.points([(30, 45), (31, 45), (50, 50)], (90, 150), GRID),
        recipe,
        seeds.points([(120, 40)], (90, 150), GRID),
    )
    steps = page.steps(image, marks(points=[[30, 45], [31, 45], [50, 50]], negative=[[120, 40]]))
    assert steps.shape == (21, 1, GRID, GRID)
    np.testing.assert_allclose(steps[:, 0].reshape(21, -1), expected[..., 0].numpy(), atol=1e-7)


def test_maps_that_are_not_finite_are_neither_shown_nor_saved(page, engine, monkeypatch):
    image = page.upload(blocks_image())
    broken = torch.full((21, GRID**2, 1), torch.nan)
    monkeypatch.setattr(solve, "refine_seeds", lambda *_: broken)
    assert "not finite" in page.ask("solve", image=image, object=marks(points=[[30, 45]]), slot="a")["error"]
    with pytest.raises(InputError, match="not finite"):
        engine.scores(image, [parse_object(marks(points=[[30, 45]]), engine.settings)], lambda *_: None)


def test_marks_share_one_pass_and_words_cost_one_more(page, engine):
    image = page.upload(blocks_image())
    page.get("prepare", image=image)
    for wanted in (marks(points=[[3, 4]]), marks(boxes=[[1, 2, 30, 40]]), {**marks(points=[[3, 4]]), "entropy": 0.2}):
        page.steps(image, wanted)
    assert (engine.seg.passes, engine.seg.encoded) == (1, 1)
    page.steps(image, words("red"))
    page.steps(image, {**words("red"), "entropy": 0})
    assert (engine.seg.passes, engine.seg.encoded) == (2, 1)
    page.steps(image, {**words("red"), "enhancement": 1})
    assert engine.seg.passes == 3


def test_words_give_one_map_per_phrase(page):
    image = page.upload(blocks_image())
    answer = page.get("solve", image=image, object=words(" red ", "", "blue"), slot="a")
    assert answer["phrases"] == ["red", "blue"]
    assert answer["shape"] == [21, 2, GRID, GRID]
    answer = page.ask("solve", image=image, object=words("zebra"), slot="a")
    assert answer["code"] == "input"
    assert "zebra" in answer["error"]
    assert "red, green, blue" in answer["error"]


@pytest.mark.parametrize(
    ("name", "request_", "message"),
    [
        ("upload", {"data": 5}, "no file"),
        ("upload", {"data": "%%%"}, "did not arrive whole"),
        ("example", {"name": "../../etc/passwd"}, "no example"),
        ("example", {"name": ["x"]}, "no example"),
        ("solve", {"image": "/etc/passwd"}, "no longer has this image"),
        ("solve", {"image": None}, "image is a NoneType"),
        ("export", {"image": "x", "objects": []}, "no longer has"),
        ("prepare", {"token": "short"}, "no valid token"),
        ("prepare", {"token": None}, "no valid token"),
    ],
)
def test_bad_requests_are_answered_in_text(page, name, request_, message):
    answer = page.ask(name, **request_)
    assert not answer["ok"]
    assert message in answer["error"]


def test_points_outside_and_too_many_cells_are_answered_in_text():
    narrow = Engine(UiSettings(max_cells=50), lambda settings: (ColourModel(), ""))
    narrow.load()
    page = Page(narrow)
    image = page.upload(blocks_image())
    assert "outside the image" in page.ask("solve", image=image, object=marks(points=[[150, 0]]), slot="a")["error"]
    zigzag = [[x, y] for x in range(0, 150, 4) for y in (0, 89)]
    assert "expected at most 50" in page.ask("solve", image=image, object=marks(lines=[zigzag]), slot="a")["error"]
    assert "nothing was marked" in page.ask("solve", image=image, object=marks(negative=[[1, 1]]), slot="a")["error"]


def test_an_unforeseen_error_shows_no_trace(page, engine, monkeypatch, capsys):
    image = page.upload(blocks_image())
    monkeypatch.setattr(solve, "refine_seeds", lambda *_: 1 / 0)
    answer = page.ask("solve", image=image, object=marks(points=[[1, 1]]), slot="a")
    assert answer["code"] == "internal"
    assert "division" not in answer["error"]
    reference = answer["error"].split("reference ")[1].rstrip(")")
    assert reference in capsys.readouterr().err


def test_the_page_works_before_the_model_is_ready():
    release = threading.Event()

    def slow(settings):
        release.wait(10)
        return ColourModel(), "a notice"

    engine = Engine(UiSettings(), slow)
    page = Page(engine)
    thread = engine.start()
    assert page.get("hello")["model"]["state"] == "loading"
    image = page.upload(blocks_image())
    assert page.ask("prepare", image=image)["code"] == "loading"
    release.set()
    thread.join()
    model = page.get("status")["model"]
    assert (model["state"], model["name"], model["notice"]) == ("ready", "colours", "a notice")
    assert page.get("prepare", image=image)["grid"] == GRID


def test_a_model_that_cannot_be_had_is_told():
    def fail(settings):
        raise InputError("no weights anywhere")

    engine = Engine(UiSettings(), fail)
    engine.load()
    page = Page(engine)
    assert (
        page.get("status")["model"] | {"state": "failed", "error": "no weights anywhere"} == page.get("status")["model"]
    )
    assert page.ask("prepare", image=page.upload(blocks_image()))["error"] == "no weights anywhere"


def test_two_people_at_once_do_not_mix():
    engine = Engine(UiSettings(), lambda settings: (ColourModel(delay=0.05), ""))
    engine.load()
    api = Api(engine)
    pages = [Page(engine, api, TOKEN), Page(engine, api, OTHER)]
    images = [page.upload(blocks_image(90 + 10 * k)) for k, page in enumerate(pages)]
    found: list[list[np.ndarray]] = [[], []]

    def work(k: int) -> None:
        side = 30 if k == 0 else 110
        for _ in range(5):
            found[k].append(pages[k].steps(images[k], marks(points=[[side, 45]])))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k in range(2):
        assert all(np.array_equal(found[k][0], other) for other in found[k][1:])
        column = found[k][0][-1, 0].sum(0)
        assert (column[: GRID // 2].sum() > column[GRID // 2 :].sum()) == (k == 0)
    assert pages[0].ask("solve", image=images[1], object=marks(points=[[1, 1]]), slot="a")["code"] == "image_gone"


def test_a_request_that_waits_gives_way_to_a_later_one():
    engine = Engine(UiSettings(), lambda settings: (ColourModel(delay=0.4), ""))
    engine.load()
    page = Page(engine)
    image = page.upload(blocks_image())
    answers: dict[int, dict] = {}

    def ask(n: int) -> None:
        answers[n] = page.ask("solve", image=image, object=marks(points=[[10 + n, 45]]), slot="same")

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
        threading.Event().wait(0.1)
    for thread in threads:
        thread.join()
    assert [answers[n]["ok"] for n in range(3)] == [True, False, True]
    assert answers[1]["code"] == "superseded"


def test_what_the_recipe_offers_can_be_chosen_per_object(page):
    image = page.upload(blocks_image())
    wanted = marks(points=[[30, 45]])
    offered = {each["name"]: each for each in page.get("status")["model"]["choices"]}
    assert offered["click_decision"] == {
        "name": "click_decision", "label": "Points", "kinds": ["points"], "values": ["refine", "markov"],
        "words": ["spread", "walk (Markov maps)"], "default": "refine",
    }  # fmt: skip
    assert all(len(each["words"]) == len(each["values"]) == len(set(each["words"])) for each in offered.values())
    forms = {}
    for decision in ({}, {"upsample": "bilateral"}, {"mark_threshold": "otsu"}, {"click_decision": "markov"}):
        answer = page.get("solve", image=image, object={**wanted, "decision": decision}, slot="a")
        forms[answer["form"], answer["automatic"]] = answer["shape"]
    assert forms == {
        ("grid", False): [21, 1, GRID, GRID],
        ("edges", False): [21, 1, GRID, GRID],
        ("grid", True): [21, 1, GRID, GRID],
        ("decided", False): [1, 1, 90, 150],
    }
    cut = page.get("solve", image=image, object={**wanted, "decision": {"outline": "cut"}}, slot="a")
    assert (cut["form"], cut["cut"]["shape"], cut["cut"]["at"]) == ("grid", [1, 90, 150], wanted["iterations"])
    for wrong in ({"resize": "torch"}, {"upsample": "nearest"}, {"entropy": 0.1}, ["upsample"]):
        assert page.ask("solve", image=image, object={**wanted, "decision": wrong})["code"] == "input"


DECISIONS = [
    {},
    {"upsample": "bilateral", "mark_threshold": "otsu"},
    {"click_decision": "markov"},
    {"box_decision": "absorb", "upsample": "bilateral"},
    {"box_decision": "tight", "upsample": "bilateral"},
    {"box_decision": "absorb", "click_decision": "markov", "mark_threshold": "otsu", "outline": "cut"},
]


@pytest.mark.parametrize("decision", DECISIONS)
@pytest.mark.parametrize(
    "given",
    [{"points": [[30, 45]], "negative": [[120, 40]]}, {"boxes": [[20, 20, 70, 70]]},
     {"points": [[30, 45]], "boxes": [[20, 20, 70, 70]], "negative": [[60, 60]]}],
)  # fmt: skip
def test_exports_are_decided_on_what_the_page_is_sent(page, engine, decision, given):
    image = page.upload(blocks_image())
    wanted = {**marks(**given), "decision": decision, "iterations": 2}
    answer = page.get("solve", image=image, object=wanted, slot="a")
    parsed = parse_object(wanted, engine.settings)
    score = engine.scores(image, [parsed], lambda *_: None)[0].numpy()
    steps = np.frombuffer(base64.b64decode(answer["steps"]), "<f4").reshape(answer["shape"])
    if "cut" in answer:
        cut = np.frombuffer(base64.b64decode(answer["cut"]["scores"]), "<f4").reshape(answer["cut"]["shape"])
        assert (cut[0].tolist(), answer["cut"]["at"]) == (score.tolist(), 2)
    elif answer["form"] == "decided":
        np.testing.assert_allclose(score, steps[0, 0], atol=1e-6)
        assert np.frombuffer(base64.b64decode(answer["seed"]), "<f4").size == GRID**2
    elif answer["form"] == "grid" and not answer["automatic"]:
        low, high = steps[2, 0].min(), steps[2, 0].max()
        np.testing.assert_allclose(score, (steps[2, 0] - low) / (high - low), atol=1e-6)
    else:
        assert score.shape == (90, 150)
    assert (score >= 0.5).any()


def test_preparing_tells_the_picture_that_edges_are_taken_from(page):
    edges = page.get("prepare", image=page.upload(blocks_image()))["edges"]
    told = np.frombuffer(base64.b64decode(edges["guide"]), np.uint8).reshape(3, edges["height"], edges["width"])
    assert np.array_equal(told.transpose(1, 2, 0), blocks_image())


def test_the_embedded_model_stands_in_with_a_notice(monkeypatch, tmp_path):
    def absent(*args, **kwargs):
        raise InputError("not here")

    monkeypatch.setattr("iseg.page.model.locate", absent)
    model, notice = load_model(UiSettings(device="cpu"))
    assert model.backbone.row.name == "tiny"
    assert "not on this machine" in notice
    assert "--model sd21-base" in notice
    model, notice = load_model(UiSettings(model=str(tmp_path), device="cpu"))
    assert model.backbone.row.name == "tiny"
    assert str(tmp_path) in notice
    assert load_model(UiSettings(model="tiny", device="cpu"))[1] == ""


def test_the_model_looks_at_the_size_that_is_asked_for(tmp_path):
    model, _ = load_model(UiSettings(model="tiny", device="cpu", size=320))
    assert model.backbone.row.image_size == 320
    engine = Engine(UiSettings(model="tiny", device="cpu", size=320))
    engine.load()
    assert engine.prepare(engine.add_image(blocks_image()), lambda: None)["grid"] == 40
    with pytest.raises(InputError, match="size 100: tiny takes multiples of 32"):
        load_model(UiSettings(model="tiny", device="cpu", size=100))
    # where another model is used than the one that was meant, its own size serves best
    model, notice = load_model(UiSettings(model=str(tmp_path), device="cpu", size=1024))
    assert (model.backbone.row.image_size, str(tmp_path) in notice) == (load_row("tiny").image_size, True)


# ---- exports


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' decode
def test_exports_are_at_full_size_and_agree(page):
    image = page.upload(blocks_image(450, 750), "my photo.jpg")
    objects = [
        {**marks(points=[[150, 225]]), "name": "left", "colour": "#ff8000"},
        {**marks(boxes=[[450, 120, 670, 330]]), "name": "right", "colour": "#0080ff", "threshold": 0.3},
    ]
    mask = Image.open(io.BytesIO(page.export(image, "mask", *objects)))
    labels = np.array(mask)
    assert (mask.mode, mask.size) == ("P", (750, 450))
    assert (mask.getpalette() or [])[3:9] == [255, 128, 0, 0, 128, 255]
    assert iou(labels == 1, truth("left", (450, 750))) > 0.8
    assert iou(labels == 2, truth("right", (450, 750))) > 0.8
    cutout = np.array(Image.open(io.BytesIO(page.export(image, "cutout", *objects))))
    np.testing.assert_array_equal(cutout[..., 3] > 0, labels > 0)
    np.testing.assert_array_equal(cutout[labels > 0][:, :3], blocks_image(450, 750)[labels > 0])
    overlay = np.array(Image.open(io.BytesIO(page.export(image, "overlay", *objects, opacity=0))))
    np.testing.assert_array_equal(overlay[labels == 0], blocks_image(450, 750)[labels == 0])
    coco = json.loads(page.export(image, "coco", *objects))
    assert [entry["name"] for entry in coco["categories"]] == ["left", "right"]
    assert coco["images"][0] | {"file_name": "my photo.jpg", "width": 750, "height": 450} == coco["images"][0]
    for k, annotation in enumerate(coco["annotations"]):
        np.testing.assert_array_equal(coco_mask.decode(annotation["segmentation"]) > 0, labels == k + 1)


def test_overlapping_objects_go_to_the_higher_score_above_its_own_threshold(page):
    image = page.upload(blocks_image())
    alone = np.array(Image.open(io.BytesIO(page.export(image, "mask", marks(points=[[30, 45]])))))
    same = marks(points=[[30, 45]])
    both = np.array(Image.open(io.BytesIO(page.export(image, "mask", same, same))))
    np.testing.assert_array_equal(both, alone)  # equal scores: the first object wins
    strict = {**same, "threshold": 1}
    swapped = np.array(Image.open(io.BytesIO(page.export(image, "mask", strict, same))))
    np.testing.assert_array_equal(swapped > 0, alone > 0)
    assert set(np.unique(swapped)) == {0, 1, 2}  # the first object keeps only what reaches its threshold


def test_exports_strip_metadata(page):
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "secret place"
    Image.fromarray(blocks_image()).save(buffer, "JPEG", exif=exif, comment=b"secret place")
    image = page.get("upload", data=base64.b64encode(buffer.getvalue()).decode(), name="a.jpg")["image"]
    for kind in ("mask", "cutout", "overlay", "coco"):
        content = page.export(image, kind, marks(points=[[30, 45]]))
        assert b"secret" not in content
        if kind != "coco":
            assert not Image.open(io.BytesIO(content)).getexif()


@pytest.mark.parametrize("kind", ["", "exe", "../mask", 7])
def test_unknown_exports_are_refused(page, kind):
    image = page.upload(blocks_image())
    assert not page.ask("export", image=image, kind=kind, objects=[marks(points=[[1, 1]])])["ok"]


# ---- the way in


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--port", "99999"], "port is 99999"),
        (["--port", "x"], "port"),
        (["--max_iterations", "0"], "max_iterations is 0"),
        (["--size", "-64"], "size is -64"),
        (["--colour", "red"], "colour"),
        (["--config", "nowhere.yaml"], "nowhere.yaml"),
    ],
)
def test_wrong_options_are_one_line_and_exit_2(options, message, tmp_path):
    command = ["sh", str(ROOT / "ui" / "run.sh"), *options]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "PYTHON": sys.executable}, timeout=120
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_the_settings_file_is_complete():
    values = read_yaml(find_config("ui"))
    assert set(values) == {entry.name for entry in fields(UiSettings) if entry.init}
    assert UiSettings(**values) == UiSettings()
    assert UiSettings().secret is None


def test_the_markup_passes_gradios_templates_unchanged():
    from iseg.page import shell

    text = shell.markup()
    assert not any(mark in text for mark in shell.TEMPLATE_MARKS)
    for name in set(re.findall(r'for="(iseg-[a-z]+)"', text)):
        assert f'id="{name}"' in text


def test_the_guard_refuses_large_bodies_and_gradios_uploads():
    from iseg.page import shell

    async def app(scope, receive, send):
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            size += len(message.get("body", b""))
            if not message.get("more_body"):
                break
        await shell.PlainTextResponse(f"got {size}")(scope, receive, send)

    def status(path: str, chunks: list[bytes], headers: Sequence[tuple[bytes, bytes]] = ()) -> int | None:
        messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
        messages[-1]["more_body"] = False
        sent: list[dict] = []

        async def receive():
            return messages.pop(0)

        async def send(message):
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": path, "headers": list(headers)}
        with ThreadPoolExecutor(1) as pool:  # the browser of other tests may have a loop of its own in this thread
            pool.submit(asyncio.run, shell.Guard(app, limit=100)(scope, receive, send)).result()
        return sent[0]["status"] if sent else None

    assert status("/gradio_api/component_server/", [b"x" * 60, b"x" * 40]) == 200
    assert status("/gradio_api/component_server/", [b"x" * 60, b"x" * 60]) is None  # chunked: no length was declared
    assert status("/gradio_api/component_server/", [b""], [(b"content-length", b"101")]) == 413
    assert status("/gradio_api/component_server/", [b""], [(b"content-length", b"-1")]) == 413
    assert status("/gradio_api/upload", [b"x"]) == 404


# ---- the gallery and the folder


def test_the_gallery_shows_pictures_and_not_their_truth(tmp_path):
    found = gallery.examples([ROOT / "examples"], scenes_first=True)
    assert {path.suffix for path in found.values()} == {".jpg"}
    assert len(found) == len(list((ROOT / "examples").rglob("*.jpg")))
    assert "scenes" in next(iter(found.values())).parts
    for name in ("a/x.png", "b/x.png", "masks/x.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(blocks_image()).save(tmp_path / name)
    assert sorted(gallery.examples([tmp_path])) == ["b/x.png", "x"]


def session(*objects: dict) -> dict:
    image = {"id": "0", "name": "a.png", "width": 150, "height": 90}
    return {"format": "iseg-session", "version": 2, "image": image, "opacity": 0.5, "objects": list(objects)}


@pytest.fixture
def folder_page(tmp_path):
    for name in ("a.png", "sub/b.png"):
        (tmp_path / "images" / name).parent.mkdir(exist_ok=True, parents=True)
        Image.fromarray(blocks_image()).save(tmp_path / "images" / name)
    settings = UiSettings(folder=str(tmp_path / "images"), out=str(tmp_path / "out"))
    engine = Engine(settings, lambda _: (ColourModel(), ""))
    engine.load()
    made = Page(engine)
    yield made
    made.api.close()


def test_work_on_a_folder_is_kept_in_files_and_no_other_revision_is_lost(folder_page, tmp_path):
    page, one = folder_page, {"id": 1, "name": "left", **marks(points=[[30, 45]])}
    assert [each["name"] for each in page.get("folder_list")["images"]] == ["a.png", "sub/b.png"]
    assert page.get("folder_save", name="a.png", session=session(one), revision=0)["revision"] == 1
    assert (tmp_path / "out" / "a.png.iseg.json").is_file()
    stale = page.ask("folder_save", name="a.png", session=session(), revision=0)
    assert stale["code"] == "changed"
    assert page.get("folder_open", name="a.png")["session"]["objects"] == [one]
    assert [each["objects"] for each in page.get("folder_list")["images"]] == [1, 0]
    for name in ("../a.png", "/etc/passwd", "a.png.iseg.json", 5):
        assert not page.ask("folder_open", name=name)["ok"]
    wrong = session({**one, "threshold": 7})
    assert "threshold is 7" in page.ask("folder_save", name="a.png", session=wrong, revision=1)["error"]


def test_words_over_a_folder_keep_what_is_there(folder_page):
    page, one = folder_page, {"id": 4, "name": "left", **marks(points=[[30, 45]])}
    page.get("folder_save", name="a.png", session=session(one), revision=0)
    for _ in range(2):  # the second time there is nothing to add
        page.get("folder_words", phrases=["red", "blue"])
        for thread in threading.enumerate():
            if thread.name == "sweep":
                thread.join()
        state = page.get("folder_list")["sweep"]
        assert (state["running"], state["done"], state["errors"]) == (False, 2, [])
    first, second = (page.get("folder_open", name=name)["session"]["objects"] for name in ("a.png", "sub/b.png"))
    assert [each["name"] for each in first] == ["left", "red", "blue"]
    assert [each["id"] for each in first] == [4, 5, 6]
    assert [each["name"] for each in second] == ["red", "blue"]
    coco = json.loads(page.fetch(page.get("folder_export", kind="coco")))
    assert [each["file_name"] for each in coco["images"]] == ["a.png", "sub/b.png"]
    assert {each["name"] for each in coco["categories"]} == {"left", "red", "blue"}
    assert "does not know 'zebra'" in page.ask("folder_words", phrases=["zebra"])["error"]


def test_without_a_folder_its_requests_are_refused(page):
    assert "iseg page FOLDER" in page.ask("folder_list")["error"]


def test_an_export_can_be_stopped(page, monkeypatch):
    image = page.upload(blocks_image())
    whole = page.api.engine.scores

    def slow(name, objects, step):
        page.get("cancel")
        return whole(name, objects, step)

    monkeypatch.setattr(page.api.engine, "scores", slow)
    answer = page.ask("export", image=image, kind="mask", objects=[marks(points=[[30, 45]])])
    assert answer["code"] == "superseded"


def test_words_and_marks_together_make_one_map(page):
    image = page.upload(blocks_image())
    both = {**words("red", "blue", index=1), "marks": {"points": [[30, 45]]}}
    steps = page.steps(image, both)
    assert steps.shape == (21, 1, GRID, GRID)
    alone = [page.steps(image, words("red", "blue"))[:, 1], page.steps(image, marks(points=[[30, 45]]))[:, 0]]
    expected = sum(each / each.max((1, 2), keepdims=True) for each in alone)
    expected /= expected.max((1, 2), keepdims=True)
    np.testing.assert_allclose(steps[:, 0], expected, atol=1e-5)
