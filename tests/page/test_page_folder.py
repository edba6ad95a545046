"""A folder of images in Chromium: words over all, corrections, a closed browser, one COCO file for all."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

pytest.importorskip("playwright.sync_api", reason="the page's tests need the package playwright")

from page_browser import CHROMIUM, UiServer, Visitor

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium: apt-get install chromium, or set CHROMIUM to one")

DATA = Path(__file__).parent.parent / "data"
SCENE = Image.open(DATA / "ui_scene.png").convert("RGB")
THING = json.loads((DATA / "ui_scene.json").read_text())["words"][0]
COUNT = 15


def fetched(visitor: Visitor, kind: str) -> bytes:
    with visitor.page.expect_download() as download:
        visitor.page.click(f"[data-save-all={kind}]")
    return Path(download.value.path()).read_bytes()


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' decode
def test_a_folder_is_labelled_corrected_left_resumed_and_saved_as_one(browser, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    names = [f"scene {k:02}.png" for k in range(COUNT)]
    for k, name in enumerate(names):
        SCENE.crop((k % 10, 0, 320, 240 - k)).save(images / name)
    classes = tmp_path / "classes.yaml"
    classes.write_text(f"classes: [person, {THING}, patch]\n")
    server = UiServer("--model", "tiny", "--device", "cpu", "--folder", str(images), "--classes", str(classes))
    try:
        person = Visitor(browser, server.address)
        person.until("(app) => app.image?.name === 'scene 00.png'")
        person.settle()
        assert person.page.locator(".images button").count() == COUNT
        person.page.fill("#iseg-all-words", THING)
        person.page.click("[data-ref=folder-words] button")
        person.until("(app) => app.folder.images.every((each) => each.objects === 1)")
        person.until("(app) => app.document.now.objects.length === 1")
        person.settle()
        person.screenshot("folder")
        person.page.keyboard.press("Escape")
        person.tool("brush")
        person.drag((20, 20), (60, 20))
        row = person.page.locator(".objects .name").nth(1)
        row.fill("patch")
        row.press("Enter")
        person.page.check("[data-ref=folder-done]")
        person.settle()
        person.page.click("[data-do=next]")
        person.until("(app) => app.image.name === 'scene 01.png'")
        person.settle()
        person.tool("eraser")
        person.drag((230, 60), (260, 60))
        person.settle()
        shown = person.shown()
        state = person.context.storage_state(indexed_db=True)
        person.close()  # in the middle; the folder's files hold the work, whatever the browser keeps

        person = Visitor(browser, server.address, storage_state=state)
        person.until("(app) => app.image?.name === 'scene 01.png'")
        person.settle()
        np.testing.assert_array_equal(person.shown(), shown)
        assert person.page.locator("[data-do=undo]").is_enabled()
        statuses = [each.get_attribute("data-status") for each in person.page.locator(".images button").all()]
        assert statuses == ["done", *["begun"] * (COUNT - 1)]
        person.page.click("[data-image='scene 02.png']")
        person.until("(app) => app.image.name === 'scene 02.png'")
        person.settle()
        person.tool("select")
        person.click(235, 100)
        person.tool("point")
        person.click(245, 110)  # corrects what the words found
        person.settle()
        marked = person.run("(app) => app.document.now.objects.map((each) => [each.words !== null, each.marks.points])")
        assert len(marked) == 1
        assert marked[0][0]
        assert len(marked[0][1]) == 1
        clicked = person.shown()
        path = tmp_path / "coco.json"
        path.write_bytes(fetched(person, "coco"))
        coco = COCO(str(path))
        assert [each["file_name"] for each in coco.loadImgs(coco.getImgIds())] == names
        assert {each["name"]: each["id"] for each in coco.loadCats(coco.getCatIds())} == {
            "person": 1,
            THING: 2,
            "patch": 3,
        }
        own = coco.loadAnns(coco.getAnnIds(imgIds=2))
        assert [each["category_id"] for each in own] == [2]
        np.testing.assert_array_equal(coco.annToMask(own[0]), shown)
        np.testing.assert_array_equal(coco.annToMask(coco.loadAnns(coco.getAnnIds(imgIds=3))[0]), clicked)
        patch = coco.loadAnns(coco.getAnnIds(imgIds=1, catIds=3))[0]
        assert coco.annToMask(patch)[20, 25:55].all()
        check_archive(fetched(person, "zip"), coco, tmp_path)
        person.close()
    finally:
        server.stop()


def check_archive(content: bytes, coco: COCO, folder: Path) -> None:
    archive = zipfile.ZipFile(io.BytesIO(content))
    (folder / "polygons.json").write_bytes(archive.read("coco_polygons.json"))
    polygons = COCO(str(folder / "polygons.json"))
    for number in coco.getAnnIds():
        exact, traced = (each.annToMask(each.loadAnns(number)[0]) > 0 for each in (coco, polygons))
        assert (exact & traced).sum() / (exact | traced).sum() > 0.97
    labels = np.array(Image.open(io.BytesIO(archive.read("voc/SegmentationClass/scene 00.png"))))
    assert set(np.unique(labels)) == {0, 2, 3}
    lines = archive.read("yolo/labels/scene 01.txt").decode().splitlines()
    assert {line.split()[0] for line in lines} == {"1"}
    assert (
        json.loads(archive.read("coco.json"))["images"] == json.loads((folder / "polygons.json").read_text())["images"]
    )
