"""Makes what a clone keeps of goldens f and g: python tests/pack_goldens.py ../shared/goldens

tests/data/golden_models.zip holds the two small models without their word tables but for the words of golden f,
a tokenizer, the VAE's decoder and CLIP's text side; f_end_to_end.npz and g_tagclip.npz what the tests compare with.
"""

import sys
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

DATA = Path(__file__).parent / "data"
MODEL, CLIP = "tiny_sd21_shape", "tiny_clip"
PARTS = {
    "text_encoder": "model.safetensors",
    "unet": "diffusion_pytorch_model.safetensors",
    "vae": "diffusion_pytorch_model.safetensors",
}
EMBEDDING = "text_model.embeddings.token_embedding.weight"
DECODER = ("decoder.", "post_quant_conv.")
LEFT_OUT_F = ("_cross_att", "_att64", "_att512")  # of the published float16 clustering, which no device repeats
HALVED_F = ("_cross32_mean",)  # every other row and column of the image
PATCH_14 = "tiny_clip_p14"
LEFT_OUT_H = ("norm_rows", "prod_rows", "context", "voc20", "null_emb", "attn_round2", "attn_round6")
TESTED_ONCE = ("sd_", "coco", "latents", "noisy")  # on the other picture
KEPT_G = ("voc2012_", "tok", "hw", "feat", "attn_", "_labels", "_max_before", "_max_after", "_text_features")


def planes(tensors: dict[str, np.ndarray]) -> np.ndarray:
    """float16 tensors one after the other -> (2, n) uint8: all low bytes, all high bytes, which compress better so."""
    flat = np.concatenate([tensor.astype(np.float16).ravel() for tensor in tensors.values()])
    return np.ascontiguousarray(flat.view(np.uint8).reshape(-1, 2).T)


def write_model(file: zipfile.ZipFile, name: str, tensors: dict[str, np.ndarray]) -> None:
    lines = [f"{key} {','.join(map(str, tensor.shape))}" for key, tensor in tensors.items()]
    file.writestr(f"{name}.names.txt", "\n".join(lines))
    file.writestr(f"{name}.planes", planes(tensors).tobytes())


def pack(goldens: Path) -> None:
    golden = np.load(goldens / "f_end_to_end.npz")
    with zipfile.ZipFile(DATA / "golden_models.zip", "w", zipfile.ZIP_LZMA) as file:
        for path in sorted((goldens / MODEL).rglob("*.json")):
            if path.parent.name != "tokenizer":
                file.write(path, str(path.relative_to(goldens)))
        file.write(goldens / CLIP / "config.json", f"{CLIP}/config.json")
        used = np.unique(np.concatenate([golden["voc_token_ids"], golden["coco_token_ids"]]))
        for part, name in PARTS.items():
            tensors = load_file(goldens / MODEL / part / name)
            if part == "text_encoder":
                tensors[EMBEDDING] = tensors[EMBEDDING][used]
            if part == "vae":
                tensors = {key: tensor for key, tensor in tensors.items() if not key.startswith(DECODER)}
            write_model(file, f"{MODEL}/{part}/{name}", tensors)
        clip = load_file(goldens / CLIP / "model.safetensors")
        vision = {key: tensor for key, tensor in clip.items() if not key.startswith("text_")}
        write_model(file, f"{CLIP}/model.safetensors", vision)
    kept = {}
    for key in golden.files:
        if not key.endswith(LEFT_OUT_F):
            kept[key] = golden[key][:, ::2, ::2] if key.endswith(HALVED_F) else golden[key]
    save(DATA / "f_end_to_end.npz", kept)
    tags = np.load(goldens / "g_tagclip.npz")
    kept = {key: tags[key] for key in tags.files if any(part in key for part in KEPT_G)}
    save(DATA / "g_tagclip.npz", kept)
    pack_m2n2(goldens / "m2n2")
    (DATA / "chelsea.png").write_bytes((goldens / "chelsea.png").read_bytes())
    (DATA / "g_class_names.json").write_bytes((goldens / "g_class_names.json").read_bytes())


def pack_cliper(goldens: Path) -> None:
    """The image side of CLIPer's CLIP in cliper_models.zip, what the tests compare with in h_cliper.npz."""
    with zipfile.ZipFile(DATA / "cliper_models.zip", "w", zipfile.ZIP_LZMA) as file:
        file.write(goldens / PATCH_14 / "config.json", f"{PATCH_14}/config.json")
        clip = load_file(goldens / PATCH_14 / "model.safetensors")
        vision = {key: tensor for key, tensor in clip.items() if not key.startswith("text_")}
        write_model(file, f"{PATCH_14}/model.safetensors", vision)
    kept = {}
    for name in ("text", "units", "chelsea", "random"):
        arrays = np.load(goldens / f"{name}.npz")
        for key in arrays.files:
            if not key.startswith(LEFT_OUT_H) and not (
                name == "random" and key.startswith(("sd_", "coco", "latents", "noisy"))
            ):
                kept[f"{name}_{key}"] = arrays[key]
    save(DATA / "h_cliper.npz", kept)
    (DATA / "cliper_random.png").write_bytes((goldens / "random.png").read_bytes())


def pack_m2n2(goldens: Path) -> None:
    """One file of all that stands beside m2n2_inputs.py; maps at every fourth row and column, for 1e-3 as float16."""
    kept = {}
    for part in ("units", "clicks", "scene_a", "scene_b", "scene_c"):
        stored = np.load(goldens / f"{part}.npz")
        for key in stored.files:
            value = stored[key]
            if part.startswith("scene") and key.endswith("_rows"):
                value = value[:, ::8]
            elif part.startswith("scene") and key in ("count", "count_up", "distance"):
                value = value[:, ::4, ::4]
            elif key.startswith("start_1") and value.ndim == 3:
                continue  # three other grids are there
            kept[f"{part}/{key}"] = value
    save(DATA / "m2n2.npz", kept)


def save(path: Path, arrays: dict[str, np.ndarray]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as file:
        for key, array in arrays.items():
            buffer = BytesIO()
            np.lib.format.write_array(buffer, array)
            file.writestr(f"{key}.npy", buffer.getvalue())


if __name__ == "__main__":
    pack(Path(sys.argv[1]))
    pack_cliper(Path(sys.argv[1]) / "cliper")
