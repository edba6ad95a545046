"""Where weights are looked for: order, mirrors, local copies, what is said when nothing can be had. No network."""

import json

import pytest

from iseg import ISeg
from iseg.backbones import find, model_files
from iseg.backbones.load import load, pick_device, pick_dtype
from iseg.backbones.table import load_row, row_names, with_sources
from iseg.errors import InputError


def test_the_endpoint_of_a_mirror_reaches_the_hub_client(monkeypatch):
    import subprocess
    import sys

    code = "from huggingface_hub import constants; print(constants.ENDPOINT)"
    out = subprocess.run(
        [sys.executable, "-c", code],
        env={"HF_ENDPOINT": "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert out.stdout.strip() == "http://127.0.0.1:9"


def test_names_folders_files_and_hub_ids(tmp_path):
    assert find.find_row("tiny").name == "tiny"
    assert find.find_row(tmp_path).sources == [str(tmp_path)]
    own = find.find_row("somebody/finetuned", "sd21-base")
    assert (own.name, own.sources) == ("sd21-base", ["somebody/finetuned"])
    with pytest.raises(InputError, match=r"expected .*sd21-base, .*tiny"):
        find.find_row("sd9")
    with pytest.raises(InputError, match="no backbone 'sd9'"):
        find.find_row(tmp_path, "sd9")


def test_the_embedded_model_is_at_hand_and_small():
    folder = find.locate(load_row("tiny"), download=False)
    model_files.check_folder(folder)
    assert sum(path.stat().st_size for path in folder.rglob("*.safetensors")) <= 12_000_000
    assert not [path for path in folder.rglob("*") if path.suffix in {".bin", ".ckpt", ".pt", ".pkl"}]


def test_folders_that_are_no_model(tmp_path):
    with pytest.raises(InputError, match="lacks unet, vae, text_encoder, tokenizer, scheduler"):
        load(with_sources(load_row("sd21-base"), [str(tmp_path)]))
    for part in model_files.COMPONENTS:
        (tmp_path / part).mkdir()
    with pytest.raises(InputError, match=r"has no .safetensors file"):
        load(with_sources(load_row("sd21-base"), [str(tmp_path)]))


def test_a_model_of_other_layers_is_one_clear_error(tiny):
    source = find.locate(load_row("tiny"))
    with pytest.raises(InputError, match=r"looks like the embedded model .* use --backbone tiny"):
        load(with_sources(load_row("sd21-base"), [str(source)]), "cpu")


def test_a_model_of_another_head_count_is_one_clear_error(tmp_path):
    import shutil
    from dataclasses import replace

    backbone = load_row("tiny")
    layer, heads = next(iter(backbone.self_layers.items()))
    with pytest.raises(InputError, match=f"layer {layer} has {heads} heads, the table of tiny says {heads + 1}"):
        load(replace(backbone, self_layers={layer: heads + 1}), "cpu")
    copy = tmp_path / "copy"
    shutil.copytree(find.locate(backbone), copy)
    config = json.loads((copy / "vae" / "config.json").read_text())
    (copy / "vae" / "config.json").write_text(json.dumps({**config, "_class_name": "VQModel"}))
    with pytest.raises(InputError, match="VAE class 'VQModel' is not known"):
        load(with_sources(backbone, [str(copy)]), "cpu")


@pytest.mark.parametrize(
    ("capabilities", "chosen"), [({"avx512_bf16": True}, "bfloat16"), ({"avx512_f": True}, "mixed")]
)
def test_precision_on_the_cpu_follows_the_processor(monkeypatch, capabilities, chosen):
    import torch

    cpu = torch.device("cpu")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert pick_dtype("auto", cpu) == chosen
    assert pick_dtype("auto", cpu, "float32") == "float32"
    assert pick_dtype("float16", cpu, "float32") == "float16"
    assert ISeg.from_pretrained("tiny", device="cpu").backbone.dtype == torch.float32


def test_devices_and_dtypes():
    import torch

    cpu = torch.device("cpu")
    assert pick_device("cpu") == cpu
    assert pick_dtype("auto", cpu) in ("mixed", "bfloat16")
    assert pick_dtype("auto", torch.device("cuda")) == "float16"
    assert pick_dtype("auto", torch.device("mps")) == "float32"
    assert pick_dtype(torch.float16, cpu) == "float16"
    with pytest.raises(InputError, match="dtype 'int8' is not known"):
        pick_dtype("int8", cpu)
    for device in ("cudaa", "cuda:99"):
        with pytest.raises(InputError, match=f"device '{device}' cannot be used here"):
            pick_device(device)


def test_every_backbone_names_its_sources():
    for name in row_names():
        assert load_row(name).sources
