"""Any words on any image: reading vocabularies, finding CLIP, label-then-segment."""

import json

import numpy as np
import pytest
import torch
from page_model import ColourModel, blocks_image
from PIL import Image
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import CLIPConfig, CLIPModel

from iseg.errors import InputError
from iseg.tagging import TagClip, Tagger, Tags, read_vocabulary, scores, tag_then_segment, vision
from iseg.tagging.load import locate_clip
from iseg.tagging.text import read_templates
from scripts.train_clip.model import make_tokenizer


def test_vocabulary_as_text_and_as_file(tmp_path):
    assert read_vocabulary("cat; potted plant ;sofa;") == ["cat", "potted plant", "sofa"]
    path = tmp_path / "words.txt"
    path.write_text("cat\n\n# furniture\nsofa  # soft\n")
    assert read_vocabulary(str(path)) == ["cat", "sofa"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", "vocabulary is empty"),
        (" ; cat", "class 1 of the vocabulary is empty"),
        ("cat;;dog", "class 2 of the vocabulary is empty"),
        ("cat; dog; cat", "'cat' is in the vocabulary twice"),
        ("nowhere.txt", "no such file"),
        ("some/folder/words", "no such file"),
    ],
)
def test_bad_vocabularies(given, expected):
    with pytest.raises(InputError, match=expected):
        read_vocabulary(given)


def test_a_vocabulary_file_without_words(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("# nothing yet\n")
    with pytest.raises(InputError, match="vocabulary is empty"):
        read_vocabulary(str(path))


class Knowing(Tagger):
    """A tagger that says which of the words it was made with."""

    def __init__(self, holds):
        self.holds = holds

    def tag(self, image, names):
        return Tags(
            [names.index(name) for name in names if name in self.holds], [float(name in self.holds) for name in names]
        )


def test_only_labels_are_segmented():
    seg, words = ColourModel(), ["green", "blue", "white", "red"]
    tags, result = tag_then_segment(seg, Knowing({"red", "blue"}), blocks_image(), words, iterations=2)
    assert [words[index] for index in tags.chosen] == result.names == ["blue", "red"]
    assert result.mask.shape == blocks_image().shape[:2]
    assert result.mask[45, 30] == 2  # the red block
    assert result.mask[45, 110] == 1  # the blue block


def test_folders_that_are_not_clip(tmp_path):
    def refused(expected):
        with pytest.raises(InputError, match=expected):
            locate_clip(str(tmp_path))

    refused("it has no config.json")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    refused("model_type 'bert', expected 'clip'")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "clip"}))
    (tmp_path / "tf_model.h5").write_bytes(b"")
    refused("no .safetensors file and no pytorch_model.bin")
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    refused("no tokenizer")
    with pytest.raises(InputError, match="not in this installation"):
        locate_clip("package:models/none")


def test_a_broken_weights_file_is_one_line(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "clip"}))
    (tmp_path / "model.safetensors").write_bytes(b"broken")
    make_tokenizer(read_templates()).save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"model.safetensors: truncated or damaged") as caught:
        Tagger.from_pretrained(TagClip(model=str(tmp_path)), device="cpu")
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def clip():
    """A random CLIP of three blocks, 6 x 6 patches of 8 pixels."""
    shape = {"hidden_size": 24, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 2}
    torch.manual_seed(0)
    config = CLIPConfig(
        text_config={**shape, "vocab_size": 100, "projection_dim": 8, "bos_token_id": 1, "eos_token_id": 2},
        vision_config={**shape, "image_size": 48, "patch_size": 8, "projection_dim": 8},
        projection_dim=8,
    )
    return CLIPModel(config).eval().requires_grad_(False)


def picture(width, height):
    rng = np.random.default_rng(width)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))


def test_pixels_are_multiples_of_the_patch():
    assert vision.to_pixels(picture(50, 31), 8).shape == (3, 32, 56)
    assert vision.to_pixels(picture(64, 32), 8).shape == (3, 32, 64)
    assert vision.to_pixels(picture(500, 250), 8, shortest_side=48).shape == (3, 48, 96)
    white = vision.to_pixels(Image.new("RGB", (16, 16), "white"), 8)
    torch.testing.assert_close(white[:, 0, 0], (1 - torch.tensor(vision.CLIP_MEAN)) / torch.tensor(vision.CLIP_STD))


def test_class_token_equals_the_library_when_nothing_is_hidden(clip):
    """At the model's own size, with all patches seen, ours is `get_image_features`."""
    crops = torch.stack([vision.to_pixels(picture(48, 48), 8), vision.to_pixels(picture(47, 46), 8)])
    ours = vision.encode_crops(clip, crops, torch.zeros(2, 36, dtype=torch.bool))
    torch.testing.assert_close(ours, clip.get_image_features(crops).pooler_output, atol=1e-5, rtol=1e-5)


def test_hidden_patches_do_not_reach_the_class_token_directly(clip):
    """With all patches hidden the class token sees itself alone, so the picture does not matter."""
    crops = torch.stack([vision.to_pixels(picture(48, 48), 8), vision.to_pixels(picture(46, 47), 8)])
    blind = vision.encode_crops(clip, crops, torch.ones(2, 36, dtype=torch.bool))
    torch.testing.assert_close(blind[0], blind[1])
    seeing = vision.encode_crops(clip, crops, torch.zeros(2, 36, dtype=torch.bool))
    assert (seeing[0] - seeing[1]).abs().max() > 1e-4


def test_last_block_keeps_tokens_apart(clip):
    """Against a loop over single tokens: the value of each token alone goes through the last block."""
    pixels = vision.to_pixels(picture(40, 64), 8)
    shapes = []
    features, grid = vision.encode(clip, pixels, lambda number, attention: shapes.append((number, attention.shape)))
    assert grid == (8, 5)
    assert shapes == [(number, (40, 40)) for number in range(3)]
    tokens, _ = vision.embed(clip, pixels[None])
    *layers, last = clip.vision_model.encoder.layers
    for layer in layers:
        tokens = layer(tokens, attention_mask=None)
    alone = torch.cat([last(tokens[:, k : k + 1], attention_mask=None) for k in range(41)], 1)
    torch.testing.assert_close(features, vision.project(clip, alone)[0], atol=1e-5, rtol=1e-5)


class Largest(TorchDispatchMode):
    """Remembers the bytes of the largest tensor that any operation made."""

    def __init__(self):
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        for each in made if isinstance(made, tuple | list) else [made]:
            if isinstance(each, torch.Tensor):
                self.bytes = max(self.bytes, each.numel() * each.element_size())
        return made


def affinity_of(clip, pixels):
    adding = scores.Affinity(1, [0, 2])
    with Largest() as largest:
        features, _ = vision.encode(clip, pixels, adding.add)
        return features, adding.matrix(), largest.bytes


def test_strips_of_attention_bound_the_largest_tensor(clip, monkeypatch):
    """One matrix over all patches is the most that is held, never one per head or block; the result stays."""
    pixels = vision.to_pixels(picture(160, 120), 8)  # 300 patches
    matrix = 4 * 301**2
    features, affinity, largest = affinity_of(clip, pixels)
    assert largest == 2 * matrix  # both heads in one strip
    monkeypatch.setattr(vision, "STRIP_BYTES", 20_000)
    stripped, again, largest = affinity_of(clip, pixels)
    assert largest == matrix
    torch.testing.assert_close(stripped, features, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(again, affinity, atol=1e-7, rtol=1e-5)


def test_strips_hide_the_same_patches(clip, monkeypatch):
    crops = torch.stack([vision.to_pixels(picture(48, 48), 8), vision.to_pixels(picture(46, 47), 8)])
    hidden = torch.arange(36).expand(2, -1) % 3 == torch.tensor([[0], [1]])
    whole = vision.encode_crops(clip, crops, hidden)
    monkeypatch.setattr(vision, "STRIP_BYTES", 1)  # one row at a time
    torch.testing.assert_close(vision.encode_crops(clip, crops, hidden), whole, atol=1e-6, rtol=1e-6)
