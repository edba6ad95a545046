"""The browser's copy of the decision, in Chromium, beside the server's on the same maps."""

import base64

import numpy as np
import pytest
import torch

pytest.importorskip("playwright.sync_api", reason="the page's tests need the package playwright")

from page_browser import CHROMIUM

from iseg import masks, solve
from iseg.marks import Marks
from iseg.page.corrections import Clean, Stroke
from iseg.page.decision import decide
from iseg.page.objects import PageObject
from iseg.page.shell import WEB
from iseg.page.solved import edges
from iseg.recipe import Recipe
from iseg.results import Attended

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium: apt-get install chromium, or set CHROMIUM to one")

SIZE = (61, 94)

DECIDE = """async ([maps, side, width, height, objects]) => {
  const maths = await import("http://page.test/maths.js");
  const { claims } = await import("http://page.test/regions.js");
  const { isCorrected } = await import("http://page.test/objects.js");
  const picture = { width, height };
  const wanted = objects.map((object, k) => {
    const map = maths.decodeFloats(maps[k]);
    const scores = maths.upsample(maths.unit(map), side, side, width, height, new Float32Array(width * height));
    if (!isCorrected(object)) return { scores, threshold: object.threshold };
    return { scores: claims(scores, object, picture, picture, new Float32Array(width * height)), threshold: 0 };
  });
  const [labels, best] = [new Uint8Array(width * height), new Float32Array(width * height)];
  return Array.from(maths.decide(wanted, labels, best));
}"""


EDGES = """async ([told, text, side, isAutomatic]) => {
  const maths = await import("http://page.test/maths.js");
  const { Edges } = await import("http://page.test/edges.js");
  const edges = new Edges(told);
  const scores = edges.smooth(maths.unit(maths.decodeFloats(text)), side);
  return Array.from(isAutomatic ? edges.automatic(scores) : scores);
}"""


@pytest.fixture(scope="module")
def script(browser):
    page = browser.new_page()
    page.route(
        "http://page.test/*",
        lambda route: route.fulfill(
            path=WEB / (route.request.url.rsplit("/", 1)[1] or "icon.svg"),
            content_type="text/javascript" if route.request.url.endswith(".js") else "text/html",
        ),
    )
    page.goto("http://page.test/")
    yield page
    page.close()


def in_browser(script, maps: np.ndarray, objects: list[PageObject]) -> np.ndarray:
    """Labels that the page's scripts make of maps (K, g, g)."""
    sent = [
        {
            "threshold": each.threshold,
            "clean": vars(each.clean),
            "marks": {key: [list(mark) for mark in value] for key, value in vars(each.marks or Marks()).items()},
            "strokes": [{**vars(stroke), "points": [list(p) for p in stroke.points]} for stroke in each.strokes],
        }
        for each in objects
    ]
    texts = [base64.b64encode(each.astype("<f4").tobytes()).decode() for each in maps]
    labels = script.evaluate(DECIDE, [texts, maps.shape[-1], SIZE[1], SIZE[0], sent])
    return np.array(labels, np.uint8).reshape(SIZE)


def made(threshold: float, **given) -> PageObject:
    return PageObject(given.pop("marks", None), None, 0.1, 1.0, 5, threshold, **given)


@pytest.mark.parametrize("seed", range(6))
def test_the_browser_decides_as_the_server_does(script, seed):
    generator = np.random.default_rng(seed)
    maps = generator.random((5, 16, 16), np.float32)
    maps[4] = 0.5  # constant: empty
    maps[3] = maps[2]  # of equals the first wins
    thresholds = generator.random(5).round(2)
    columns = torch.from_numpy(maps).flatten(1).T
    expected = masks.decide(columns, SIZE, range(1, 6), thresholds.tolist(), None).numpy()
    objects = [made(float(threshold)) for threshold in thresholds]
    found = in_browser(script, maps, objects)
    assert (found != expected).mean() <= 1e-3  # a score that equals a threshold or another score may round either way
    strips = decide(list(masks.min_max(torch.from_numpy(maps))), objects, SIZE)
    assert (strips.labels != expected).mean() <= 1e-3
    assert strips.areas.tolist() == [int((strips.labels == k).sum()) for k in range(1, 6)]


@pytest.mark.parametrize("seed", range(6))
def test_corrections_are_the_same_in_the_browser(script, seed):
    generator = np.random.default_rng(seed)
    maps = generator.random((3, 12, 12), np.float32)
    marks = Marks(points=[(40.0, 30.0)], boxes=[(70.3, 50.5, 10.0, 4.2)], lines=[[(5.0, 5.0), (9.0, 8.0)]])
    strokes = [
        Stroke(tuple(map(tuple, generator.random((3, 2)) * (94, 61))), 2 + 5 * generator.random(), k == 1, k)
        for k in range(3)
    ]
    cleans = [Clean(), Clean(largest=True, holes=True), Clean(clicked=True, smooth=True, clip=bool(seed % 2))]
    objects = [
        made(0.45, marks=marks, clean=clean, strokes=tuple(strokes[k : k + 2])) for k, clean in enumerate(cleans)
    ]
    found = in_browser(script, maps, objects)
    expected = decide(list(masks.min_max(torch.from_numpy(maps))), objects, SIZE).labels
    assert expected.any()
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("is_automatic", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_the_browser_follows_edges_as_the_server_does(script, seed, is_automatic):
    generator = np.random.default_rng(seed)
    picture = generator.integers(0, 256, (*SIZE, 3), np.uint8)
    picture[:, 40:] //= 3
    recipe = Recipe(upsample="bilateral", upsample_cells=1.5, upsample_range=0.2, decision_size=50, background=0.4)
    columns = torch.from_numpy(generator.random((64, 1), np.float32))
    attended = Attended(None, torch.eye(64), [], [], SIZE, picture=picture)
    expected = solve.fine_scores(columns, attended, recipe, is_automatic)[0].numpy()
    text = base64.b64encode(columns.numpy().astype("<f4").tobytes()).decode()
    found = np.array(script.evaluate(EDGES, [edges(attended, recipe), text, 8, is_automatic])).reshape(expected.shape)
    np.testing.assert_allclose(found, expected, atol=2e-4)
    assert 0 < (found >= 0.4).mean() < 1


def test_a_constant_map_is_empty_in_the_browser(script):
    picture = np.full((*SIZE, 3), 9, np.uint8)
    recipe = Recipe(upsample="bilateral", decision_size=50)
    told = edges(Attended(None, torch.eye(64), [], [], SIZE, picture=picture), recipe)
    text = base64.b64encode(np.full(64, 0.5, "<f4").tobytes()).decode()
    assert not any(script.evaluate(EDGES, [told, text, 8, True]))
