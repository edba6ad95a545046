"""Digests of weights: right, remembered, safe with several processes; records and pins compared."""

import hashlib
import json
import multiprocessing
import os
from pathlib import Path
from typing import Any

import pytest
from fake_hub import Repository, small_model
from hypothesis import given
from hypothesis import strategies as st

from iseg.backbones import digests, find
from iseg.backbones.digests import file_digest, known_digest, state_folder, weights_digest
from iseg.backbones.inventory import get, take_stock
from iseg.backbones.read import choose_weights, variant_of
from iseg.backbones.records import ChangedWeightsError, read_record
from iseg.backbones.sources import Source, read_source
from iseg.backbones.table import load_row, with_sources
from iseg.errors import InputError

UNET = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture(autouse=True)
def state(monkeypatch, tmp_path):
    """A state folder of each test's own."""
    monkeypatch.setenv("ISEG_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def opened(monkeypatch):
    """Files whose contents were read."""
    names, plain = [], Path.open

    def watched(path, mode="r", *rest, **options):
        if mode == "rb":
            names.append(path.name)
        return plain(path, mode, *rest, **options)

    monkeypatch.setattr(Path, "open", watched)
    return names


def folder(place, files):
    for name, content in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content)
    return place


def sha(*contents):
    return hashlib.sha256(b"".join(contents)).hexdigest()


def row(*sources):
    return with_sources(load_row("tiny"), sources)


def stock_of(backbone):
    stock = take_stock(backbone)
    assert stock is not None
    return stock


class TestDigests:
    def test_every_part_once(self, tmp_path, opened):
        files = small_model(second=True)
        place = folder(tmp_path / "model", files)
        expected = {part: sha(files[name]) for name in files if name.endswith(".safetensors")
                    for part in [name.split("/")[0]]}  # fmt: skip
        assert set(expected) == {"unet", "vae", "text_encoder", "text_encoder_2"}
        assert weights_digest(place) == expected
        assert len(opened) == 4
        assert weights_digest(place) == expected
        assert len(opened) == 4  # nothing was read again

    def test_the_files_that_are_read_at_a_precision(self, tmp_path):
        files = small_model() | small_model(".fp16")
        files["unet/diffusion_pytorch_model.fp16.safetensors"] += b"x"
        place = folder(tmp_path / "model", files)
        assert weights_digest(place)["unet"] == sha(files[UNET])
        half = weights_digest(place, half=True)["unet"]
        assert half == sha(files["unet/diffusion_pytorch_model.fp16.safetensors"])

    def test_shards_and_single_files(self, tmp_path):
        names = [f"unet/model-0000{number}-of-00003.safetensors" for number in (1, 2, 3)]
        place = folder(tmp_path / "model", {name: name.encode() for name in names})
        assert weights_digest(place) == {"unet": sha(*(name.encode() for name in names))}
        assert weights_digest(place / names[0]) == {"file": sha(names[0].encode())}
        with pytest.raises(InputError, match="no weights: expected a diffusers folder"):
            weights_digest(tmp_path)

    def test_a_changed_file_is_read_again(self, tmp_path, opened):
        path = tmp_path / "a.safetensors"
        path.write_bytes(b"one")
        assert file_digest(path) == sha(b"one")
        path.write_bytes(b"two")
        os.utime(path, ns=(1, 1))
        assert known_digest(path) is None
        assert file_digest(path) == sha(b"two")
        path.write_bytes(b"four")
        os.utime(path, ns=(1, 1))  # another size
        assert file_digest(path) == sha(b"four")
        assert len(opened) == 3

    def test_a_link_is_the_file_that_it_leads_to(self, tmp_path, opened):
        (tmp_path / "blob").write_bytes(b"one")
        for name in ("a", "b"):
            (tmp_path / name).symlink_to(tmp_path / "blob")
            assert file_digest(tmp_path / name) == sha(b"one")
        assert len(opened) == 1

    def test_a_file_that_changes_while_it_is_read_is_not_remembered(self, tmp_path, monkeypatch):
        path = tmp_path / "a"
        path.write_bytes(b"one")
        marks = iter([[["a", 3, 1]], [["a", 3, 2]]])
        with monkeypatch.context() as patch:
            patch.setattr(digests, "known_digest", lambda *_: None)
            patch.setattr(digests, "_marks", lambda _: next(marks))
            file_digest(path)
        assert known_digest(path) is None

    @pytest.mark.parametrize("content", ["", "{", "[]", '{"files": 3}', '{"sha256": "x"}', "\x00"])
    def test_a_broken_memory_counts_as_none(self, tmp_path, state, content):
        path = tmp_path / "a"
        path.write_bytes(b"one")
        file_digest(path)
        (memory,) = (state / "digests").iterdir()
        memory.write_text(content)
        assert known_digest(path) is None
        assert file_digest(path) == known_digest(path) == sha(b"one")

    def test_without_a_state_folder_it_only_takes_longer(self, tmp_path, monkeypatch):
        (tmp_path / "a").write_bytes(b"one")
        monkeypatch.setenv("ISEG_HOME", str(tmp_path / "a" / "below a file"))
        assert file_digest(tmp_path / "a") == sha(b"one")
        with pytest.raises(InputError, match=r"none: cannot be read: No such file"):
            file_digest(tmp_path / "none")

    def test_processes_that_start_at_once(self, tmp_path, state):
        place = folder(tmp_path / "model", small_model())
        expected = weights_digest(place)
        for memory in (state / "digests").iterdir():
            memory.unlink()
        with multiprocessing.get_context("spawn").Pool(3) as pool:
            assert pool.map(weights_digest, [place] * 6) == [expected] * 6
        kept = list((state / "digests").iterdir())
        assert len(kept) == 3  # one per file, no temporary one
        assert {json.loads(memory.read_text())["sha256"] for memory in kept} == set(expected.values())

    def test_where_the_state_lies(self, monkeypatch):
        assert state_folder() == Path(os.environ["ISEG_HOME"])
        monkeypatch.delenv("ISEG_HOME")
        monkeypatch.setenv("XDG_STATE_HOME", "/state")
        assert state_folder() == Path("/state/iseg")
        for value in ("", "relative"):
            monkeypatch.setenv("XDG_STATE_HOME", value)
            assert state_folder() == Path.home() / ".local" / "state" / "iseg"


class TestChoice:
    @pytest.mark.parametrize(
        ("names", "plain", "half"),
        [
            (["m.safetensors"], ["m.safetensors"], ["m.safetensors"]),
            (["m.fp16.safetensors"], ["m.fp16.safetensors"], ["m.fp16.safetensors"]),
            (["m.fp16.safetensors", "m.safetensors"], ["m.safetensors"], ["m.fp16.safetensors"]),
            (["m.non_ema.safetensors", "m.fp16.safetensors"], ["m.fp16.safetensors"], ["m.fp16.safetensors"]),
            (["m.non_ema.safetensors"], ["m.non_ema.safetensors"], ["m.non_ema.safetensors"]),
            (["m-1-of-2.safetensors"], [], []),
            (["m-1-of-2.safetensors", "m-2-of-2.safetensors", "m.bin"],
             ["m-1-of-2.safetensors", "m-2-of-2.safetensors"], ["m-1-of-2.safetensors", "m-2-of-2.safetensors"]),
            (["m.fp16-1-of-2.safetensors", "m.fp16-2-of-2.safetensors", "m.safetensors"],
             ["m.safetensors"], ["m.fp16-1-of-2.safetensors", "m.fp16-2-of-2.safetensors"]),
            (["m-1-of-2.fp16.safetensors", "m-2-of-2.fp16.safetensors", "m.safetensors"],
             ["m.safetensors"], ["m-1-of-2.fp16.safetensors", "m-2-of-2.fp16.safetensors"]),
            (["m-1-of-2.safetensors", "m.fp16.safetensors"], ["m.fp16.safetensors"], ["m.fp16.safetensors"]),
            ([], [], []),
        ],
    )  # fmt: skip
    def test_files(self, names, plain, half):
        for order in (names, names[::-1]):
            assert choose_weights(order) == plain
            assert choose_weights(order, half=True) == half

    @given(st.lists(st.text("m.-1of2", max_size=12).map(lambda name: f"{name}.safetensors"), max_size=6), st.booleans())
    def test_any_names_do(self, names, half):
        chosen = choose_weights(names, half)
        assert set(chosen) <= set(names)
        assert len({variant_of([Path(name)]) for name in chosen}) <= 1
        assert choose_weights(sorted(names, reverse=True), half) == chosen


class TestRecords:
    def test_what_was_got_is_recorded_and_compared(self, hub, tmp_path):
        files = small_model()
        hub.repositories["some/model"] = Repository(files)
        got = get(row("some/model"), half=False)
        assert read_record(Source("some/model")) == {name: sha(content) for name, content in files.items()}
        assert got.offline is None
        assert find.locate(row("some/model")) == got.place
        kept = (got.place / UNET).resolve()
        for path, name in ((kept, UNET), ((got.place / "tokenizer/vocab.json").resolve(), "tokenizer/vocab.json")):
            whole = path.read_bytes()
            path.write_bytes(whole[:-1] + b"?")
            with pytest.raises(ChangedWeightsError) as raised:
                find.locate(row("some/model", "some/other"))
            message = str(raised.value)
            assert message.startswith(f"some/model: {name} has SHA-256 {sha(path.read_bytes())[:12]}..., ")
            assert f"recorded {sha(whole)[:12]}...: it was changed since" in message
            assert "--renew" in message
            assert "\n" not in message
            assert stock_of(row("some/model")).digests == "changed"
            path.write_bytes(whole)
        assert find.locate(row("some/model")) == got.place
        assert stock_of(row("some/model")).digests == "as recorded"

    def test_a_copy_that_changes_on_the_hub_is_refused_until_it_is_accepted(self, hub):
        hub.repositories["some/model"] = Repository(small_model())
        first = get(row("some/model"), half=False)
        changed = small_model() | {UNET: small_model(second=True)[UNET].replace(b"unet", b"tenu")}
        hub.repositories["some/model"] = Repository(changed, commit="f" * 40)
        assert find.locate(row("some/model")) == first.place  # what is at hand is used
        with pytest.raises(ChangedWeightsError, match=f"some/model: {UNET} has SHA-256 .* recorded"):
            get(row("some/model"), half=False)
        assert find.locate(row("some/model")) == first.place
        second = get(row("some/model"), half=False, renew=True)
        assert find.locate(row("some/model")) == second.place != first.place

    def test_the_other_variant_joins_the_record(self, hub):
        hub.repositories["some/model"] = Repository(small_model() | small_model(".fp16"))
        get(row("some/model"), half=True)
        assert stock_of(row("some/model")).files == "fp16"
        assert get(row("some/model"), half=False).offline is None
        assert stock_of(row("some/model")).files == "plain and fp16"
        assert len([name for name in read_record(Source("some/model")) if name.startswith("unet/diff")]) == 2
        assert stock_of(row("some/model")).digests == "as recorded"

    def test_pins_are_compared_even_when_nothing_is_recorded(self, hub):
        files = small_model()
        hub.repositories["some/model"] = Repository(files)
        right = {name: sha(files[name]) for name in files}
        assert find.locate(row({"id": "some/model", "sha256": {UNET: right[UNET]}}))
        with pytest.raises(ChangedWeightsError, match=f"{UNET} has SHA-256 .*, the table pins 000000000000"):
            find.locate(row({"id": "some/model", "sha256": {UNET: "0" * 64}}, "some/other"))
        with pytest.raises(ChangedWeightsError, match="other weights than the table means"):
            get(row({"id": "some/model", "sha256": {UNET: "0" * 64}}), half=False, renew=True)
        with pytest.raises(ChangedWeightsError, match="unet/more is pinned in the table of some/model and not there"):
            find.locate(row({"id": "some/model", "sha256": {"unet/more": "0" * 64}}))
        pinned = row({"id": "some/model", "sha256": right})
        assert stock_of(pinned).pinned
        find.locate(pinned)
        assert stock_of(pinned).digests == "as pinned"

    def test_a_hub_that_does_not_answer_leaves_what_is_at_hand(self, hub):
        hub.repositories["some/model"] = Repository(small_model())
        place = get(row("some/gone", "some/model"), half=False).place
        hub.repositories["some/model"].state = 503
        again = get(row("some/gone", "some/model"), half=False)
        assert (again.place, again.offline) == (place, "HTTP 503")
        hub.repositories["some/gone"] = Repository(small_model())
        assert get(row("some/gone", "some/model"), half=False).place == place

    def test_what_is_damaged_at_hand_is_mended(self, hub):
        files = small_model()
        hub.repositories["some/model"] = Repository(files)
        place = get(row("some/model"), half=False).place
        for broken in (files[UNET][:-1] + b"?", files[UNET][:-9]):
            (place / UNET).resolve().write_bytes(broken)
            hub.sent.clear()
            assert get(row("some/model"), half=False).place == place
            assert hub.names() == [UNET]
            assert (place / UNET).read_bytes() == files[UNET]

    @pytest.mark.parametrize("content", ["", "[]", "{}", '{"sha256": 3}'])
    def test_a_broken_record_is_one_clear_line(self, hub, content):
        hub.repositories["some/model"] = Repository(small_model())
        record = get(row("some/model"), half=False).record
        assert record is not None
        record.write_text(content)
        with pytest.raises(InputError, match=r"some%2Fmodel\.json: not a readable record of weights: delete it"):
            find.locate(row("some/model"))


def test_sources_in_the_table():
    assert read_source("some/model", "x") == Source("some/model")
    given: dict[str, Any] = {"id": "some/model", "revision": "v1", "sha256": {UNET: "a" * 64}}
    assert read_source(given, "x") == Source(**given)
    for bad, expected in (
        ({"id": 3}, "x: sources: .*id"),
        ({"name": "a/b"}, "x: sources: unknown key 'name'"),
        ({"id": "a/b", "sha256": {UNET: "A" * 64}}, "x: sources: sha256 of unet/.*expected 64 hexadecimal digits"),
        ({}, "x: sources: .*id"),
    ):
        with pytest.raises(InputError, match=expected):
            read_source(bad, "x")
    kinds = [Source(name).kind for name in ("package:models/tiny", "/", "modelscope:a/b", "a/b")]
    assert kinds == ["package", "local", "modelscope", "hub"]
