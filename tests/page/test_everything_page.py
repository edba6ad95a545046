"""Regions without words on the page: what the server answers, and what a person does with them in Chromium."""

import base64

import numpy as np
import pytest
from page_browser import UiServer, Visitor

from iseg.errors import InputError
from iseg.page.api import Api
from iseg.page.engine import Engine
from iseg.page.everything import Pieces, parse_pieces, piece_map
from iseg.page.settings import UiSettings

TOKEN = "a" * 32


@pytest.fixture
def engine(tiny):
    made = Engine(UiSettings(), lambda _: (tiny, ""))
    made.load()
    return made


def test_regions_of_an_image_and_a_slider_without_a_pass(engine, tiny, scene, monkeypatch):
    name = engine.add_image(scene)
    before = engine.nbytes
    found = engine.everything(name, 0.5, lambda: None)
    assert engine.nbytes > before + found.nbytes
    monkeypatch.setattr(type(tiny), "regions", None)  # nothing is found anew
    few = engine.everything(name, 0.9, lambda: None)
    assert (few.labels == found.at(0.9).labels).all()
    assert len(few.scores) <= len(found.scores)


def test_the_request_has_labels_and_scores(engine, scene):
    api = Api(engine)
    functions = {each.__name__: each for each in api.functions()}
    name = engine.add_image(scene)
    api.people.own(TOKEN, name, "scene")
    answer = functions["everything"]({"token": TOKEN, "image": name, "coarse": 0.5})
    assert answer["ok"], answer
    labels = np.frombuffer(base64.b64decode(answer["labels"]), "<u2").reshape(answer["height"], answer["width"])
    assert sorted(np.unique(labels)) == list(range(len(answer["scores"])))
    assert not functions["everything"]({"token": TOKEN, "image": name, "coarse": 2})["ok"]
    assert not functions["everything"]({"token": "b" * 32, "image": name, "coarse": 0.5})["ok"]
    api.close()


def test_the_map_of_pieces_is_half_at_their_border(engine, scene):
    found = engine.everything(engine.add_image(scene), 0.1, lambda: None)
    best = found.maps.argmax(0).flatten()
    for number in range(len(found.scores)):
        values = piece_map(found, Pieces(0.1, (number,))).numpy()[:, 0]
        assert ((values > 0.5) == (best == number))[values != 0.5].all()
        assert values.min() == 0
        assert values.max() == 1
    both = piece_map(found, Pieces(0.1, (0, 1))).numpy()[:, 0]
    assert ((both > 0.5) == (best < 2))[both != 0.5].all()
    with pytest.raises(InputError, match="there is no region 99"):
        piece_map(found, Pieces(0.1, (99,)))
    with pytest.raises(InputError, match="whole image"):
        piece_map(found, Pieces(0.1, tuple(range(len(found.scores)))))


@pytest.mark.parametrize("value", [3, {}, {"numbers": []}, {"numbers": [-1], "coarse": 0.5}, {"numbers": [1]}])
def test_pieces_that_cannot_be_read(value):
    with pytest.raises(InputError):
        parse_pieces(value)


@pytest.fixture(scope="module")
def address():
    server = UiServer("--model", "tiny", "--device", "cpu")
    yield server.address
    server.stop()


def test_a_person_takes_regions_into_objects(browser, address, scene):
    visitor = Visitor(browser, address)
    try:
        visitor.open(scene)
        visitor.page.click("[data-tool=everything]")
        visitor.until("(app) => app.modes.everything.found")
        places = visitor.run(PLACES)
        assert len(places) >= 2
        visitor.page.mouse.move(*visitor.place(*places[1]))
        visitor.until("(app) => app.modes.everything.hovered === 1")
        visitor.page.mouse.click(*visitor.place(*places[1]))
        visitor.settle()
        assert visitor.run(SHARE) > 0.9  # the object's mask is the region
        visitor.page.keyboard.down("Shift")
        visitor.page.mouse.click(*visitor.place(*places[0]))
        visitor.page.keyboard.up("Shift")
        visitor.settle()
        objects = "(app) => app.document.now.objects.map((each) => each.pieces.numbers)"
        assert visitor.run(objects) == [[1, 0]]
        visitor.page.click("[data-do=undo]")
        visitor.settle()
        assert visitor.run(objects) == [[1]]
        visitor.page.fill("#iseg-coarse", "0.2")
        visitor.until("(app) => app.modes.everything.found.coarse === 0.2")
        assert len(visitor.run("(app) => app.modes.everything.found.scores")) >= len(places)
        visitor.page.reload()
        visitor.page.wait_for_selector(".iseg[data-state=started]")
        visitor.settle()
        assert visitor.run(objects) == [[1]]  # kept
        assert not visitor.complaints
    finally:
        visitor.close()


# The deepest pixel (x, y) of every region: the middle of its longest run in a row.
PLACES = """(app) => {
  const { labels, width, height, scores } = app.modes.everything.found;
  const best = scores.map(() => [0, 0, 0]);
  for (let y = 0; y < height; y++) for (let x = 0, run = 0; x < width; x++) {
    run = x && labels[y * width + x] === labels[y * width + x - 1] ? run + 1 : 1;
    const label = labels[y * width + x];
    if (run > best[label][0]) best[label] = [run, x - run / 2, y];
  }
  return best.map(([, x, y]) => [((x + 0.5) * app.image.width) / width, ((y + 0.5) * app.image.height) / height]);
}"""
# Intersection over union of the selected object's mask and region 1.
SHARE = """(app) => {
  const { labels } = app.modes.everything.found;
  const own = app.stage.pictures.decide().indexOf(app.document.selected) + 1;
  const shown = app.stage.pictures.labels;
  let [both, either] = [0, 0];
  shown.forEach((each, i) => {
    both += each === own && labels[i] === 1;
    either += each === own || labels[i] === 1;
  });
  return both / either;
}"""
