"""What a student starts from, computes in and is exported to."""

import json

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from student_network import NETWORK
from transformers import (
    SegformerConfig,
    SegformerForImageClassification,
    SegformerForSemanticSegmentation,
    SegformerImageProcessor,
)

from iseg.backbones.quiet import quiet
from iseg.student.export import export_onnx
from iseg.student.main import main
from iseg.student.network import Student, load_student, make_network
from iseg.student.settings import load_training


def training(config, *more):
    return load_training(["--config", str(config), *more], "train")


@pytest.mark.parametrize("kind", [SegformerForImageClassification, SegformerForSemanticSegmentation])
def test_a_pretrained_folder_brings_its_weights_and_gets_a_new_head(config, tmp_path, kind):
    """As mit-b2 lies on the hub, of a classifier of another number of classes; and a segmenter of others."""
    torch.manual_seed(5)
    with quiet("transformers"):
        there = kind(SegformerConfig(**NETWORK, id2label={k: str(k) for k in range(7)}))
        there.save_pretrained(tmp_path / "start")
        SegformerImageProcessor(image_mean=[0.1, 0.2, 0.3], image_std=[0.4, 0.5, 0.6]).save_pretrained(
            tmp_path / "start"
        )
    asked = training(config, "--model", str(tmp_path / "start"), "--network", "{}")
    names = ["background", *(f"class {k}" for k in range(20))]
    torch.manual_seed(asked.seed)
    network, mean, std = make_network(asked, names)
    assert (mean, std) == ([0.1, 0.2, 0.3], [0.4, 0.5, 0.6])
    own, before = network.state_dict(), there.state_dict()
    taken = [name for name in own if name.startswith("segformer.")]
    assert len(taken) > 20
    assert all(torch.equal(own[name], before[name]) for name in taken)
    if kind is SegformerForSemanticSegmentation:  # the rest of the head fits
        assert torch.equal(own["decode_head.linear_fuse.weight"], before["decode_head.linear_fuse.weight"])
    assert own["decode_head.classifier.weight"].shape[0] == 21
    assert own["decode_head.classifier.weight"].std() > 0
    assert network.config.id2label == dict(enumerate(names))


def test_a_training_starts_from_a_folder(config, tmp_path):
    """Another training's student, at a rate that changes nothing: it is that student still."""
    first, then = tmp_path / "first", tmp_path / "then"
    one = ["train", "--config", str(config), "--steps", "1", "--ema", "0", "--flip", "true"]
    assert main([*one, "--out", str(first)]) == 0
    more = ["--model", str(first / "best"), "--network", "{}", "--rate", "1e-12", "--weight_decay", "0"]
    assert main([*one, *more, "--out", str(then)]) == 0
    before, after = load_student(first / "best"), load_student(then / "best")
    learnt = dict(before.network.named_parameters())
    assert all(torch.allclose(learnt[name], value, atol=1e-6) for name, value in after.network.named_parameters())


def test_bfloat16_learns_about_what_float32_learns(config, tmp_path):
    losses = {}
    for precision in ("float32", "bfloat16"):
        AcceleratorState._reset_state()  # accelerate keeps one precision for as long as a process lives
        out = tmp_path / precision
        assert main(["train", "--config", str(config), "--precision", precision, "--out", str(out)]) == 0
        losses[precision] = np.array(json.loads((out / "checkpoint" / "checkpoint.json").read_text())["losses"])
        assert load_student(out / "best").network.dtype == torch.float32  # what is kept
    AcceleratorState._reset_state()
    assert np.isfinite(losses["bfloat16"]).all()
    assert not np.array_equal(losses["bfloat16"], losses["float32"])
    assert np.allclose(losses["bfloat16"], losses["float32"], rtol=0.05)  # bfloat16 has 8 bits; 0.022 on one processor


def test_onnx_gives_the_logits_of_torch(tmp_path):
    runtime = pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    pytest.importorskip("onnxscript", reason="needs the extra onnx")
    torch.manual_seed(0)
    network = SegformerForSemanticSegmentation(SegformerConfig(**NETWORK)).eval()
    student = Student(network, [0.5, 0.4, 0.3], [0.2, 0.3, 0.4]).eval()
    path = tmp_path / "student.onnx"
    assert export_onnx(student, path, (64, 96)) < 1e-3
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    pixels = np.random.default_rng(3).integers(0, 256, (1, 3, 64, 96)).astype(np.float32)
    [logits] = session.run(None, {"pixels": pixels})
    with torch.inference_mode():
        assert np.allclose(logits, student(torch.from_numpy(pixels)).numpy(), atol=1e-4)
