"""Finding CLIP and reading its weights: safetensors, or tensors alone of a `.bin` file."""

import pickle
import shutil
import sys
import types
from typing import Any

import pytest
import torch
from fake_hub import Repository, read_folder
from transformers import CLIPConfig, CLIPModel

from iseg.errors import InputError
from iseg.tagging import load as module
from iseg.tagging.load import load_clip, locate_clip, read_pickle
from iseg.tagging.text import read_templates
from scripts.train_clip.model import make_tokenizer


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Folder of a random CLIP with safetensors, and its tensors."""
    place = tmp_path_factory.mktemp("clip")
    tokenizer = make_tokenizer(read_templates())
    tokenizer.save_pretrained(place)
    shape = {"hidden_size": 24, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    torch.manual_seed(0)
    clip = CLIPModel(
        CLIPConfig(
            text_config={**shape, "vocab_size": len(tokenizer)},
            vision_config={**shape, "image_size": 48, "patch_size": 8},
            projection_dim=8,
        )
    )
    clip.save_pretrained(place)
    return place, clip.state_dict()


@pytest.fixture
def pickled(saved, tmp_path):
    """The same with `pytorch_model.bin` in place of safetensors; called with what the file holds."""

    def make(state, name="pickled"):
        place = tmp_path / name
        shutil.copytree(saved[0], place)
        (place / "model.safetensors").unlink()
        torch.save(state, place / "pytorch_model.bin")
        return place

    return make


def same(clip, state):
    return clip.state_dict().keys() == state.keys() and all(
        torch.equal(clip.state_dict()[name], tensor) for name, tensor in state.items()
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_both_formats_give_the_same_model(saved, pickled, dtype):
    place, state = saved
    state = {name: tensor.to(dtype) for name, tensor in state.items()}
    old = {"text_model.embeddings.position_ids": torch.arange(77)[None]}  # as in files of earlier libraries
    for folder in (place, pickled({**saved[1], **old})):
        clip, tokenizer = load_clip(str(folder), "cpu", dtype)
        assert same(clip, state)
        assert not clip.training
        assert tokenizer("a photo of a cat")["input_ids"]


class Evil:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_a_malicious_pickle_is_refused_and_not_run(saved, pickled, tmp_path):
    proof = tmp_path / "proof"
    for number, save in enumerate((torch.save, lambda state, path: path.write_bytes(pickle.dumps(state)))):
        place = pickled({}, f"evil{number}")
        save({**saved[1], "evil": Evil(proof)}, place / "pytorch_model.bin")
        with pytest.raises(
            InputError, match=r"pytorch_model.bin: refused: damaged, or it holds more than ten"
        ) as raised:
            load_clip(str(place), "cpu")
        assert "\n" not in str(raised.value)
        assert not proof.exists()
    pickle.loads((place / "pytorch_model.bin").read_bytes())["evil"].close()  # the file would have done it
    assert proof.exists()


def test_files_that_hold_something_else(pickled, tmp_path):
    for number, state in enumerate(([torch.ones(1)], {"a": 3}, torch.ones(2))):
        with pytest.raises(InputError, match="expected a mapping of names to tensors"):
            read_pickle(pickled(state, str(number)) / "pytorch_model.bin")
    (tmp_path / "x.bin").write_bytes(b"broken")
    with pytest.raises(InputError, match=r"x\.bin: refused: damaged"):
        read_pickle(tmp_path / "x.bin")


def test_an_old_torch_reads_no_pickle(saved, pickled, monkeypatch):
    place = pickled(saved[1])
    monkeypatch.setattr(module.torch, "__version__", "2.5.1+cpu")
    with pytest.raises(InputError, match=r"torch 2\.5\.1\+cpu does not read such files safely: expected 2\.6"):
        load_clip(str(place), "cpu")
    assert same(load_clip(str(saved[0]), "cpu")[0], saved[1])


def test_missing_and_misshapen_tensors_are_an_error(saved, pickled, tmp_path):
    from safetensors.torch import save_file

    name = "text_model.encoder.layers.0.self_attn.v_proj.weight"
    lacking = {key: tensor for key, tensor in saved[1].items() if key != name}
    for folder in (pickled(lacking), shutil.copytree(saved[0], tmp_path / "safe")):
        if folder.name == "safe":
            save_file(lacking, folder / "model.safetensors", {"format": "pt"})
        with pytest.raises(InputError, match=f"CLIP lacks the tensor {name}"):
            load_clip(str(folder), "cpu")
    with pytest.raises(InputError, match=r"CLIP lacks the tensor logit_scale and \d+ more"):
        load_clip(str(pickled({}, "void")), "cpu")
    with pytest.raises(InputError, match="CLIP cannot be loaded"):
        load_clip(str(pickled({**saved[1], name: torch.ones(3, 3)}, "shape")), "cpu")


def test_safetensors_are_taken_before_a_pickle(hub, saved):
    files = {name: data for name, data in read_folder(saved[0]).items() if not name.startswith(".")}
    hub.repositories["some/clip"] = Repository({**files, "pytorch_model.bin": b"x", "tf_model.h5": b"x"})
    clip, _ = load_clip("some/clip", "cpu")
    assert same(clip, saved[1])
    assert "pytorch_model.bin" not in hub.names()
    assert "tf_model.h5" not in hub.names()
    hub.asked.clear()
    assert same(load_clip("some/clip", "cpu")[0], saved[1])
    assert not hub.asked  # at hand


def test_a_repository_of_pickles_is_enough(hub, saved, pickled):
    hub.repositories["some/clip"] = Repository(read_folder(pickled(saved[1])))
    assert same(load_clip("some/clip", "cpu")[0], saved[1])


def test_the_mirror_is_asked_and_all_sources_are_listed(hub, saved, monkeypatch):
    asked = []

    def snapshot_download(identifier, local_files_only=False, **_):
        if local_files_only:
            raise OSError("not at hand")
        asked.append(identifier)
        return str(saved[0])

    fake: Any = types.ModuleType("modelscope")
    fake.snapshot_download = snapshot_download
    with pytest.raises(InputError) as raised:
        locate_clip("openai/clip-vit-base-patch16")
    message = str(raised.value)
    assert (
        "openai/clip-vit-base-patch16 (not found (HTTP 404)); modelscope:openai-mirror/clip-vit-base-patch16 ("
        in message
    )
    assert "tagging.clip.model" in message
    assert len(message) <= 500
    monkeypatch.setitem(sys.modules, "modelscope", fake)
    assert locate_clip("openai/clip-vit-base-patch16") == saved[0]
    assert asked == ["openai-mirror/clip-vit-base-patch16"]


def test_what_is_no_source(tmp_path):
    (tmp_path / "file").touch()
    for model, expected in (
        (str(tmp_path / "file"), "a file; expected a folder"),
        (str(tmp_path / "none"), "no such folder"),
        ("clip", "no such folder; expected a folder or a hub id"),
        ("a/b/c", "no such folder"),
    ):
        with pytest.raises(InputError, match=expected):
            locate_clip(model)
