"""A short round of the seeded fuzz, and that it finds what it looks for."""

import json
from importlib import import_module

import pytest

from iseg.errors import InputError
from scripts.fuzz import __main__ as fuzz
from scripts.fuzz.case import Case
from scripts.fuzz.run import Models, run


@pytest.fixture(scope="module")
def models():
    return Models()


def test_a_short_round_finds_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("ISEG_HOME", str(tmp_path))
    code = fuzz.main(["--inputs", "60", "--seed", "5", "--json", str(tmp_path / "f.json")])
    said = capsys.readouterr().out
    assert code == 0, said
    result = json.loads((tmp_path / "f.json").read_text())
    assert set(result["defects"].values()) == {0}
    assert sum(sum(count.values()) for count in result["kinds"].values()) == 60
    assert {kind for kind, count in result["kinds"].items() if count} == set(fuzz.KINDS)


def raising(error):
    def call(_):
        raise error

    return call


def defects(case, models):
    return [defect for defect, _ in run(case, models)]


def test_each_defect_is_seen(models, tmp_path, monkeypatch):
    assert defects(Case("", "bad", call=raising(ZeroDivisionError("x"))), models) == ["traces"]
    assert defects(Case("", "bad", call=lambda _: 7), models) == ["zero exits for bad input"]
    assert defects(Case("", "good", call=raising(InputError("x"))), models) == ["good input refused"]
    assert defects(Case("", "either", call=raising(InputError("x"))), models) == []
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.json").write_text(json.dumps({"files": ["a.png", "b.png"]}))
    for name in ("a.png", "c.png", ".1.tmp"):
        (out / name).write_bytes(b"")
    found = defects(Case("", "either", call=lambda _: 7, out=out), models)
    assert found == ["half-written files"] * 4  # b.png, c.png, and .1.tmp twice
    monkeypatch.setattr(import_module("iseg.cli.say"), "printable", str)
    long = Case("", "bad", ["segment", "x" * 2000 + "\x1b.png", "--classes", "cat", "--model", "tiny"])
    monkeypatch.setattr("iseg.cli.inputs.echo", str)
    assert set(defects(long, models)) == {"long lines", "control characters"}


def test_an_input_is_the_same_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("ISEG_HOME", str(tmp_path))
    kinds = ["labels", "classes"]
    all_of_them = fuzz.fuzz(3, list(range(9)), kinds)
    alone = [fuzz.fuzz(3, [index], kinds) for index in range(9)]
    for kind in kinds:
        total = sum((fuzz.Counter(one["kinds"][kind]) for one in alone), fuzz.Counter())
        assert total == fuzz.Counter(all_of_them["kinds"][kind])


@pytest.mark.parametrize("given", [7, None, "1,2", [(1,)], [None], [("a", 1)]])
def test_negative_points_that_are_none_are_refused(models, given, scene):
    with pytest.raises(InputError, match="negative"):
        models.tiny.segment(points=[(1, 1)], negative=given, image=models.tiny.set_image(scene))


@pytest.mark.parametrize(("images", "classes"), [(7, [["cat"]]), ([], None), (None, None)])
def test_batches_that_are_no_lists_are_refused(models, images, classes):
    with pytest.raises(InputError, match="expected a list of images"):
        models.tiny.segment_batch(images, classes)
