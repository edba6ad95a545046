"""Weights are loaded without the libraries' bars and notes, and nothing stays silenced."""

import logging
import threading
from pathlib import Path

import diffusers
import huggingface_hub.utils
import pytest
import transformers

import iseg
from iseg import ISeg
from iseg.backbones.quiet import quiet
from iseg.tagging.load import load_clip

TINY = Path(iseg.__file__).parent / "models" / "tiny"
LIBRARIES = {"diffusers": diffusers, "transformers": transformers}


def state():
    """What a user of the libraries could notice: levels, bars, the bars of downloads."""
    shown = [library.utils.logging.is_progress_bar_enabled() for library in LIBRARIES.values()]
    levels = [logging.getLogger(name).level for name in LIBRARIES]
    return shown, levels, huggingface_hub.utils.are_progress_bars_disabled()


@pytest.fixture(params=[True, False], ids=["shown", "hidden"])
def bars(request, monkeypatch):
    """Bars as the user set them before."""
    levels = {name: logging.getLogger(name).level for name in LIBRARIES}
    for name, library in LIBRARIES.items():
        monkeypatch.setattr(library.utils.logging, "_tqdm_active", request.param)
        logging.getLogger(name).setLevel(logging.INFO if request.param else logging.CRITICAL)
    yield request.param
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture
def notes(caplog):
    """What the libraries log; their loggers hand nothing on to the root that `caplog` listens to."""
    for name in LIBRARIES:
        logging.getLogger(name).addHandler(caplog.handler)
    yield caplog
    for name in LIBRARIES:
        logging.getLogger(name).removeHandler(caplog.handler)


def read_text_encoder():
    transformers.CLIPTextModel.from_pretrained(TINY / "text_encoder")
    logging.getLogger("transformers.somewhere").warning("a note")


def test_a_block_is_quiet_and_leaves_no_trace(bars, notes, capfd):
    before = state()
    read_text_encoder()
    assert ("Loading weights" in capfd.readouterr().err) == bars == bool(notes.records)
    notes.clear()
    with quiet("diffusers", "transformers"):
        assert state()[0] == [False, False]
        assert min(state()[1]) >= logging.ERROR
        assert state()[2] == before[2]  # downloads are shown as before
        read_text_encoder()
    assert (capfd.readouterr().err, notes.records) == ("", [])
    assert state() == before
    with pytest.raises(KeyError), quiet("diffusers", "transformers"):
        raise KeyError
    assert state() == before


def test_blocks_of_two_threads_do_not_keep_each_other_silent():
    before, inside = state(), threading.Event()

    def other():
        with quiet("transformers"):
            inside.set()

    thread = threading.Thread(target=other)
    with quiet("transformers"):
        thread.start()
        assert not inside.wait(0.2)
        with quiet("transformers"):  # the same thread need not wait
            pass
    thread.join()
    assert inside.is_set()
    assert state() == before


@pytest.mark.usefixtures("bars")
def test_models_are_loaded_in_such_a_block(tmp_path, notes, capfd):
    small = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    config = transformers.CLIPConfig(text_config=small, vision_config=small | {"image_size": 32, "patch_size": 16})
    transformers.CLIPModel(config).save_pretrained(tmp_path)
    transformers.CLIPTokenizer.from_pretrained(TINY / "tokenizer").save_pretrained(tmp_path)
    capfd.readouterr()
    notes.clear()
    before = state()
    ISeg.from_pretrained("tiny", device="cpu")
    load_clip(str(tmp_path), "cpu")
    assert (capfd.readouterr().err, notes.records) == ("", [])
    assert state() == before


def test_a_prompt_that_is_split_needs_no_warning(tiny, notes, scene):
    words = tiny.backbone.row.words * 4
    tiny.set_image(scene)
    assert len(tiny.segment(classes=words).groups) > 1
    assert notes.records == []
