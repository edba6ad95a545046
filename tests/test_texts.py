"""Text, YAML and JSON of people: whatever is wrong is one line that names the file."""

import json

import pytest
import yaml

from iseg.data.classes import load_classes
from iseg.data.labels import read_labels
from iseg.errors import InputError, echo, printable
from iseg.notation import options_given
from iseg.recipe import Recipe
from iseg.texts import load_yaml, read_json, read_yaml

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcdefghi", "bcdefghij", strict=True)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: " + "1" * 5000, "value that is not what its tag says: Exceeds the limit"),
        ("a: !!int 'x'", "value that is not what its tag says"),
        ("a: !!bool 'maybe'", "value that is not what its tag says"),
        ("a: !!timestamp 'x'", "value that is not what its tag says"),
        ("a: " + "[" * 60 + "]" * 60, "nested too deeply"),
        ("a: " + "[" * 5000, "nested too deeply"),
        ("&a {b: *a}", "an anchor holds itself"),
        (BOMB, "more than 100,000 values"),
        ("a: 'b" + "x" * (1 << 20) + "'", "expected at most 1,048,576"),
        ("1: 2", "key 1 is a int: expected a text"),
    ],
)
def test_bad_yaml_is_one_line(tmp_path, text, message):
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as raised:
        read_yaml(path)
    assert message in str(raised.value)
    assert str(raised.value).startswith(str(path))
    assert len(str(raised.value)) < 500
    assert "\n" not in str(raised.value)


def test_plain_values_are_read_as_they_look():
    assert load_yaml("[2024-02-30, 0x10, 010, 1e-3, .5, 1:30]") == ["2024-02-30", "0x10", 10, 0.001, 0.5, "1:30"]
    assert load_yaml("{a: &x [1], b: *x}") == {"a": [1], "b": [1]}
    with pytest.raises(yaml.YAMLError):
        load_yaml("\x00")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a": ' + "1" * 5000 + "}", "{", "\udc80"])
def test_bad_json_is_one_line(tmp_path, text):
    path = tmp_path / "labels.json"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(InputError, match=r"labels\.json: not readable as JSON") as raised:
        read_json(path)
    assert len(str(raised.value)) < 500


def test_a_byte_order_mark_is_no_content(tmp_path):
    bom = b"\xef\xbb\xbf"
    (tmp_path / "a.yaml").write_bytes(bom + b"classes: [cat, dog]")
    (tmp_path / "a.json").write_bytes(bom + json.dumps({"x.jpg": ["dog"]}).encode())
    (tmp_path / "a.csv").write_bytes(bom + b"name,labels\r\nx.jpg,dog\r\n")
    classes = load_classes(tmp_path / "a.yaml")
    assert [each.name for each in classes] == ["cat", "dog"]
    assert read_labels(tmp_path / "a.json", classes) == read_labels(tmp_path / "a.csv", classes) == {"x": [2]}


def test_what_is_shown_is_short_and_has_no_control_characters():
    assert printable("a\x1b[31m\udc80\u202e\nb") == r"a\x1b[31m\x80\u202e b"
    assert len(printable("x" * 9999)) <= 480
    assert len(echo("x" * 9999)) <= 200
    assert "too long" in echo(10**5000)


@pytest.mark.parametrize("given", ["0x10", "0b11", "-0x1", "1:30", " 0x10 ", "1" * 400, 10**400])
@pytest.mark.parametrize("key", ["iterations", "entropy", "working_size", "background", "cross_weights"])
def test_numbers_are_decimal_and_their_setting_is_named(key, given):
    value = {12: given} if key == "cross_weights" else given
    with pytest.raises(
        InputError, match=rf"^settings: {key} is .*: expected a (decimal number|number of at most)"
    ) as raised:
        Recipe().changed(**{key: value})
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize("key", ["cross_weights", "iterations", "entropy", "cluster", "prompt", "background"])
def test_null_is_no_value_of_a_setting_that_has_none(key):
    with pytest.raises(InputError, match=rf"^settings: {key} is null: expected a value"):
        Recipe().changed(**{key: None})
    assert Recipe().changed(working_size=None, entropy_clamp_max=None).working_size is None


def test_texts_may_look_like_numbers_of_other_notations():
    assert Recipe().changed(context="0x10").context == "0x10"
    assert Recipe().changed(iterations=" 10 ", entropy="1e-2").entropy == 0.01


def test_options_are_read_as_a_person_writes_them():
    given = ["a.png", "--iterations", "0x10", "--recipe.entropy=010", "--recipe.cross_weights", "{12: 0x1}", "--last"]
    recipe = {"entropy": 10, "cross_weights": {12: "0x1"}}
    assert options_given(given) == {"iterations": "0x10", "recipe": recipe, "last": None}
