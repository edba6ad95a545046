"""Write the averaged weights of a training run as a diffusers folder with fp16 safetensors.

    python -m scripts.train_tiny.export --run runs/tiny --out iseg/models/tiny

The folder's README.md (the model card) is left as it is.
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

import diffusers
import torch
from transformers import CLIPTokenizer

from iseg.errors import InputError
from scripts.train_tiny.model import MAX_TOKENS, build_autoencoder
from scripts.train_tiny.trainer import Settings, Trainer

PARTS = ("unet", "vae", "text_encoder", "tokenizer", "scheduler")


def write_tokenizer(tokenizer: CLIPTokenizer, folder: Path) -> None:
    """Write vocab.json, merges.txt and the settings, the files that Stable Diffusion's folders have."""
    folder.mkdir()
    state = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    rules = [rule if isinstance(rule, str) else " ".join(rule) for rule in state["merges"]]
    (folder / "vocab.json").write_text(json.dumps(state["vocab"], ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *rules]) + "\n", encoding="utf-8")
    special = {
        "bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
    }  # fmt: skip
    settings = {"tokenizer_class": "CLIPTokenizer", "model_max_length": MAX_TOKENS, **special}
    for name, content in (("tokenizer_config", settings), ("special_tokens_map", special)):
        (folder / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def export(trainer: Trainer, out: Path) -> int:
    """Write the trainer's averaged model under `out`, replacing its parts at the end; returns the folder's bytes."""
    trainer.use_average()
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as scratch:
        folder = Path(scratch)
        # the decorator hides the method
        unet = trainer.network.unet.to(memory_format=torch.contiguous_format)  # type: ignore[call-arg]
        for name, module in (("unet", unet), ("vae", build_autoencoder()), ("text_encoder", trainer.text_encoder)):
            module.half().save_pretrained(folder / name, safe_serialization=True)
        write_tokenizer(trainer.tokenizer, folder / "tokenizer")
        trainer.scheduler.save_pretrained(folder / "scheduler")
        index = {
            "_class_name": "StableDiffusionPipeline", "_diffusers_version": diffusers.__version__,
            "scheduler": ["diffusers", "DDIMScheduler"], "text_encoder": ["transformers", "CLIPTextModel"],
            "tokenizer": ["transformers", "CLIPTokenizer"], "unet": ["diffusers", "UNet2DConditionModel"],
            "vae": ["iseg.models.patch_autoencoder", "PatchAutoencoder"],
        }  # fmt: skip
        (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
        for name in PARTS:
            shutil.rmtree(out / name, ignore_errors=True)
            (folder / name).replace(out / name)
        (folder / "model_index.json").replace(out / "model_index.json")
    return sum(path.stat().st_size for path in out.rglob("*") if path.is_file())


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, default=Path("runs/tiny"), help="folder of the training run")
    parser.add_argument("--out", type=Path, default=Path("iseg/models/tiny"))
    options = parser.parse_args(arguments)
    try:
        if not (options.run / "checkpoint.pt").is_file():
            raise InputError(f"no checkpoint.pt in {options.run}: train first with python -m scripts.train_tiny.train")
        trainer = Trainer(Settings(processes=1), options.run)
        trainer.load()
        size = export(trainer, options.out)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"step {trainer.step}: {size / 1e6:.1f} MB in {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
