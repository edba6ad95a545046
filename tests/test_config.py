"""Settings: types, ranges, unknown keys, flat heads."""

import pytest
import yaml

from iseg.backbones.table import BackboneRow, load_row, row_names
from iseg.errors import InputError
from iseg.recipe import Recipe, load_recipe
from iseg.settings import configs_folder, find_config, parse_settings


def test_every_backbone_of_the_table_is_valid():
    assert set(row_names()) >= {"sd21-base", "tiny"}
    for name in row_names():
        row = load_row(name)
        layers = row.layers(Recipe().changed(**row.recipe))
        assert any(layers.self_attention.values())
        assert all(any(chosen.values()) for chosen in layers.cross_attention.values())


def test_a_text_that_yaml_reads_as_nothing_stays_a_text():
    assert [load_row(name).pad_token for name in ("sd21-base", "sd-turbo")] == ["!", "!"]
    assert load_row("sdxl").pad_token_2 == "!"
    assert Recipe().changed(context="#").context == "#"
    assert Recipe().changed(working_size=None).working_size is None


def test_flat_heads_run_over_the_layers_in_order():
    row = load_row("sd21-base")
    recipe = Recipe().changed(cross_heads={16: [0, 19, 20, 99], 32: [10, 29]}, self_heads=[1, 2])
    layers = row.layers(recipe)
    assert layers.cross_attention[16] == {
        "down_blocks.2.attentions.0.transformer_blocks.0": [0, 19],
        "down_blocks.2.attentions.1.transformer_blocks.0": [0],
        "up_blocks.1.attentions.0.transformer_blocks.0": [],
        "up_blocks.1.attentions.1.transformer_blocks.0": [],
        "up_blocks.1.attentions.2.transformer_blocks.0": [19],
    }
    assert layers.cross_attention[32] == {
        "down_blocks.1.attentions.1.transformer_blocks.0": [],
        "up_blocks.2.attentions.0.transformer_blocks.0": [0],
        "up_blocks.2.attentions.1.transformer_blocks.0": [9],
    }
    assert layers.self_attention == {"up_blocks.3.attentions.1.transformer_blocks.0": [1, 2]}


def test_the_interactive_recipe_leaves_a_layer_out():
    row = load_row("sd21-base")
    layers = row.layers(Recipe().changed(**row.recipe))
    assert layers.cross_attention[32]["down_blocks.1.attentions.1.transformer_blocks.0"] == []
    assert sum(len(heads) for heads in layers.cross_attention[32].values()) == 20
    assert sum(len(heads) for heads in layers.cross_attention[16].values()) == 100
    assert layers.self_attention == {"up_blocks.3.attentions.1.transformer_blocks.0": [0, 1, 2, 3, 4]}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"iterations": "many"}, "iterations"),
        ({"iterations": -1}, r"iterations is -1: expected a number in 0\.\."),
        ({"iterations": 2.5}, "iterations"),
        ({"iterations": None}, "iterations"),
        ({"cluster": "maybe"}, "cluster"),
        ({"background": "powr"}, "background"),
        ({"background": 1.5}, "background is 1.5"),
        ({"background": -0.1}, "background"),
        ({"entropy": -1}, "entropy is -1"),
        ({"entropy": float("nan")}, "entropy"),
        ({"resize": "bicubic"}, "resize"),
        ({"cluster_dtype": "bf16"}, "cluster_dtype"),
        ({"iteration": 5}, "unknown key 'iteration': expected one of .*iterations"),
        ({"cross_weights": {}}, "cross_weights is empty"),
        ({"cross_heads": {16: "all"}}, "cross_heads"),
    ],
)
def test_bad_settings_are_one_line_that_names_the_key(settings, message):
    with pytest.raises(InputError, match=message) as raised:
        Recipe().changed(**settings)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cross_weights": {64: 1.0}}, "resolution 64: backbone sd21-base has"),
        ({"cross_heads": {16: [100]}}, "cross_heads at 16 names head 100: .* 100 heads"),
        ({"self_heads": [5]}, "self_heads names head 5"),
    ],
)
def test_recipes_that_do_not_fit_the_backbone(settings, message):
    with pytest.raises(InputError, match=message):
        load_row("sd21-base").layers(Recipe().changed(**settings))


def test_a_changed_recipe_is_converted_and_the_original_kept():
    recipe = Recipe()
    changed = recipe.changed(background="0.3", iterations=0)
    assert (changed.background, changed.iterations) == (0.3, 0)
    assert recipe == Recipe()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("recipe: [1, 2", "not readable as YAML"),
        ("- 1\n- 2", "expected a mapping"),
        ("iterations: 3", "expected a section 'recipe:'"),
        ("recipe: {iterations: x}", "iterations"),
        ("recipe: {colour: red}", "unknown key 'colour'"),
        ("recipe: !!python/object/apply:os.getcwd []", "not readable as YAML"),
    ],
)
def test_bad_files_are_named(tmp_path, text, message):
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as raised:
        load_recipe(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_recipes_by_name_and_path(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump({"recipe": {"iterations": 3, "background": "power"}}))
    assert load_recipe(path, entropy=0.2) == Recipe(iterations=3, background="power", entropy=0.2)
    assert load_recipe("wsss/voc").background == "power"
    with pytest.raises(InputError, match=r"no configuration 'wsss/vox': expected .*wsss/voc"):
        find_config("wsss/vox")


def test_unknown_backbone_lists_the_table():
    with pytest.raises(InputError, match="sd21-base"):
        load_row("sd9")
    with pytest.raises(InputError, match="cross_layers"):
        parse_settings(BackboneRow, {"name": "x", "sources": [], "self_layers": {}}, "here")


def test_configs_are_found():
    assert (configs_folder() / "backbones" / "sd21-base.yaml").is_file()
