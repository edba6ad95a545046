"""The tiny model's parts, losses and trainer."""

import math
from dataclasses import asdict

import pytest
import torch
import torch.nn.functional as F
from narrow import self_attention
from safetensors.torch import load_file

from iseg import ISeg, refine
from iseg.attention import Layers
from iseg.backbones.patch_autoencoder import PatchAutoencoder
from iseg.backbones.recording import Recording
from scripts.train_tiny import evaluate, losses, noise, optimizer
from scripts.train_tiny.batches import BatchPlan, SceneBank, collate
from scripts.train_tiny.export import export
from scripts.train_tiny.model import (
    CROSS_LAYERS,
    GRID,
    SELF_LAYER,
    build_autoencoder,
    build_scheduler,
    build_tokenizer,
    build_unet,
    known_text,
    parameters,
    patch_basis,
)
from scripts.train_tiny.network import MapNetwork
from scripts.train_tiny.scenes import render, scene_rng
from scripts.train_tiny.trainer import Settings, Trainer

MICRO = Settings(
    steps=6, decay_steps=2, warmup_steps=2, batch_size=4, bank_size=8, queries=8, denoise_every=2, processes=1
)


@pytest.fixture(scope="module")
def trainer(tmp_path_factory):
    return Trainer(MICRO, tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def exported(trainer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / "tiny"
    trained = Trainer(MICRO, trainer.out)
    return folder, export(trained, folder)


def test_the_full_size_autoencoder_equals_the_half_size_basis_on_averaged_pixels():
    image = torch.rand(1, 3, 48, 80) * 2 - 1
    weight, bias = patch_basis()
    half = F.conv2d(F.avg_pool2d(image, 2), weight, bias, stride=4)
    full = build_autoencoder().encode(image).latent_dist
    torch.testing.assert_close(full.mean, half, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(full.mode(), full.mean)
    torch.testing.assert_close(full.sample(), full.mean)


def test_latents_of_scenes_have_unit_variance_and_no_mean():
    images = torch.stack([torch.from_numpy(render(scene_rng(5, i), (128, 128)).image) for i in range(40)])
    weight, bias = patch_basis()
    latents = F.conv2d(images.permute(0, 3, 1, 2) / 127.5 - 1, weight, bias, stride=4)
    assert latents.mean((0, 2, 3)).abs().max() < 0.5
    assert 0.5 < latents.std((0, 2, 3)).min() <= latents.std((0, 2, 3)).max() < 1.6


def test_decoding_is_the_least_squares_inverse():
    autoencoder = build_autoencoder()
    latents = torch.randn(2, 16, 3, 5)
    image = autoencoder.decode(latents).sample
    assert image.shape == (2, 3, 24, 40)
    torch.testing.assert_close(autoencoder.encode(image).latent_dist.mean, latents, atol=1e-3, rtol=1e-3)


def test_an_image_that_is_no_multiple_of_the_patch_is_refused():
    with pytest.raises(ValueError, match="multiples of 8"):
        PatchAutoencoder().encode(torch.zeros(1, 3, 16, 20))


def test_known_words_are_one_token_and_any_other_text_is_read_by_letters():
    tokenizer = build_tokenizer()
    for word in known_text():
        assert len(tokenizer(word)["input_ids"]) == 3, word
    text = "Zebra, 7 d\u00fcnen"
    encoded = tokenizer(text, return_offsets_mapping=True)
    assert tokenizer.unk_token_id not in encoded["input_ids"][1:-1]
    covered = {i for start, end in encoded["offset_mapping"] for i in range(start, end)}
    assert covered == {i for i, letter in enumerate(text) if letter != " "}


def test_the_unet_is_small_and_attends_at_full_resolution_once():
    unet = build_unet()
    names = [name for name, _ in unet.named_modules() if name.endswith(".attn1")]
    assert [name for name in names if name.startswith("up_blocks.2.")] == [SELF_LAYER]
    assert parameters(unet) < 5.5e6


@pytest.mark.parametrize("grid", [(16, 16), (8, 24)])
def test_the_differentiable_pass_gives_the_maps_that_the_engine_records(grid):
    torch.manual_seed(0)
    unet = build_unet().eval()
    latents, text = torch.randn(2, 16, *grid), torch.randn(2, 77, 96)
    network = MapNetwork(unet)
    queries = torch.stack([torch.randperm(grid[0] * grid[1])[:20] for _ in range(2)])
    words = torch.randn(5, 96)
    with torch.no_grad():
        maps, rows, logits, matrices = network(latents, torch.full((2,), 100), text, queries, words, complete=1)
        assert [tuple(values.shape) for values in logits] == [
            (2, 4, grid[0] * grid[1] // step, 5) for step in (4, 4, 16, 16)
        ]
        if grid[0] != grid[1]:
            return  # the engine's maps are square
        layers = Layers(
            {
                grid[0] * resolution // GRID: {name.removesuffix(".attn2"): range(4) for name in names}
                for resolution, names in CROSS_LAYERS.items()
            },
            {SELF_LAYER.removesuffix(".attn1"): range(2)},
        )
        with Recording(unet, layers) as recording:
            unet(latents, 100, encoder_hidden_states=text)
            record = recording.take()
    torch.testing.assert_close(matrices[0], self_attention(record)[0], atol=1e-5, rtol=1e-4)
    for b in range(2):
        torch.testing.assert_close(rows[b], self_attention(record)[b][queries[b]], atol=1e-5, rtol=1e-4)
        for resolution, values in maps.items():
            recorded = record.cross_attention[grid[0] * resolution // GRID][b].flatten(1).T
            torch.testing.assert_close(values[b], recorded, atol=1e-5, rtol=1e-4)


def test_a_perfect_answer_costs_little_and_a_wrong_one_much():
    truth = torch.zeros(1, 2, 32, 32)
    truth[0, 0, :16, :16] = truth[0, 1, 16:, 16:] = 1
    present = torch.ones(1, 2, dtype=torch.bool)
    flat = truth.flatten(2)
    assert losses.label_loss(flat, flat, present) < 0.01 < 1 < losses.label_loss(flat.flip(1), flat, present)
    sides = F.avg_pool2d(truth, 4).flatten(2)
    assert losses.token_loss(sides, truth, present) < 0.01 < 1 < losses.token_loss(sides.flip(1), truth, present)
    labels = losses.cell_labels(truth)
    queries = torch.tensor([[0, 1023, 31]])  # first class, second class, background
    regions = torch.cat([1 - truth.sum(1, keepdim=True), truth], 1).flatten(2)
    rows = regions[0][labels[0, queries[0]]][None]
    rows = rows / rows.sum(-1, keepdim=True)
    assert losses.region_loss(rows, queries, labels, truth) < 1e-4
    uniform = torch.full_like(rows, 1 / 1024)
    expected = torch.tensor([4.0, 4.0, 2.0]).log().mean()  # the regions are 1/4, 1/4 and 1/2 of the picture
    torch.testing.assert_close(losses.region_loss(uniform, queries, labels, truth), expected, atol=1e-4, rtol=1e-4)


def test_word_loss_counts_every_object_the_same():
    truth = torch.zeros(1, 2, 32, 32)
    truth[0, 0, :, :24], truth[0, 1, :2, 30:] = 1, 1
    ids = torch.tensor([[3, 5]])
    logits = torch.zeros(1, 2, 256, 20)
    logits[..., 2] = 50.0  # sure of word 3 everywhere
    torch.testing.assert_close(losses.word_loss(logits, truth, ids), torch.tensor(25.0))
    right = losses.word_loss(torch.zeros(1, 2, 256, 20), truth, ids)
    torch.testing.assert_close(right, torch.tensor(20.0).log())


def test_class_maps_and_one_product_are_those_of_the_method():
    from iseg import cross, refine

    torch.manual_seed(1)
    maps = {16: torch.rand(1, 256, 77), 8: torch.rand(1, 64, 77)}
    spans = torch.zeros(1, 2, 77)
    spans[0, 0, 4] = spans[0, 1, 6] = 1
    weights = {16: 0.5, 8: 0.5}
    mine = losses.fuse({r: losses.class_probabilities(values, spans) for r, values in maps.items()}, weights, 32)
    heads = {r: values.transpose(1, 2).unflatten(2, (r, r)) for r, values in maps.items()}
    theirs = cross.class_maps(cross.fuse(heads, weights, size=32), [[4], [6]], cluster=False)
    torch.testing.assert_close(mine[0].T, theirs.float(), atol=1e-8, rtol=1e-4)
    finer = {2 * r: values for r, values in maps.items()}  # maps of 16x16 and 8x8 that layers of 32x32 and 16x16 gave
    spoken = {r: losses.class_probabilities(values, spans) for r, values in finer.items()}
    assert torch.equal(losses.fuse(spoken, {32: 0.5, 16: 0.5}, 32), mine)
    rows = torch.rand(1, 1024, 1024).softmax(-1)
    product = refine.normalize_columns(losses.refined_scores(rows, mine)[0].T)
    torch.testing.assert_close(product, refine.refine(rows[0], mine[0].T, 1), atol=1e-7, rtol=1e-3)


def test_queries_favour_objects_and_do_not_repeat():
    labels = torch.zeros(3, 1024, dtype=torch.long)
    labels[:, :40] = 1
    queries = losses.sample_queries(labels, 50, torch.Generator().manual_seed(0))
    assert all(len(set(row.tolist())) == 50 for row in queries)
    assert 15 < (queries < 40).sum(1).float().mean() < 40


def test_a_batch_says_where_its_words_are(trainer):
    import numpy as np

    scenes = [render(scene_rng(6, i), (128, 128)) for i in range(4)]
    batch = collate(scenes, np.random.default_rng(0), trainer.tokenizer)
    for i, scene in enumerate(scenes):
        assert set(batch.ids[i].tolist()) - {0} == set(np.unique(scene.mask)) - {0}
        for k, label in enumerate(batch.ids[i].tolist()):
            assert np.array_equal(batch.truth[i, k].numpy() > 0, (scene.mask == label) & (label > 0))
            assert bool(batch.present[i, k]) == bool(batch.spans[i, k].any())


def test_the_bank_gives_back_what_it_kept(tmp_path):
    bank = SceneBank(tmp_path / "bank", 3)
    drawn = bank[1]
    kept = SceneBank(tmp_path / "bank", 3)[1]
    assert (drawn.image == kept.image).all()
    assert (drawn.mask == kept.mask).all()
    assert (drawn.words, drawn.grounds) == (kept.words, kept.grounds)


def test_steps_take_the_sizes_in_turn_and_all_processes_of_a_step_the_same(tmp_path, trainer):
    plan = BatchPlan(tmp_path / "bank", 3, 2, trainer.tokenizer, sizes=[96, 64], world=2)
    batches = [plan[number] for number in range(6)]
    assert [batch.images.shape[-1] for batch in batches] == [48, 48, 32, 32, 48, 48]
    for batch in batches:
        assert batch.truth.shape[-2:] == batch.images.shape[-2:]
        assert set(batch.truth.unique().tolist()) == {0, 1}
        assert bool(((batch.ids > 0) == batch.truth.flatten(2).any(-1)).all())


def test_a_step_on_a_finer_grid_leaves_the_iterations_out(tmp_path):
    finer = Trainer(Settings(**{**asdict(MICRO), "sizes": "384,320", "denoise_every": 1}), tmp_path)
    parts = [finer.advance(), finer.advance()]
    assert parts[1].keys() - parts[0].keys() == {"iterated"}
    assert all(math.isfinite(value) for row in parts for value in row.values())


@pytest.mark.parametrize("grid", [48, 32])
def test_the_usual_noise_is_that_of_inference(tiny, grid):
    latents = torch.rand(8, 16, grid, grid)
    drawn, timesteps = noise.draw_noise(latents, torch.Generator())
    assert timesteps[:6].unique().tolist() == [tiny.backbone.row.timestep]
    noised = build_scheduler().add_noise(latents, drawn, timesteps)  # type: ignore[arg-type]  # any integers will do
    torch.testing.assert_close(noised[:6], tiny.backbone.noised(latents[:6]))
    assert timesteps.max() <= noise.LATEST_SUPERVISED


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path):
    whole, first = Trainer(MICRO, tmp_path / "whole"), Trainer(MICRO, tmp_path / "halves")
    for _ in range(4):
        whole.advance()
    for _ in range(2):
        first.advance()
    first.save()
    second = Trainer(MICRO, tmp_path / "halves")
    assert second.load()
    for _ in range(2):
        second.advance()
    for a, b in zip([*whole.weights, *whole.average], [*second.weights, *second.average], strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)


def test_the_rate_warms_up_stays_and_falls_to_zero(trainer):
    rates = [trainer.rate(step) for step in range(7)]
    assert rates == [0.5, 1, 1, 1, 1, 0.5, 0]


def test_the_export_is_loaded_and_used_by_the_engine(exported):
    folder, size = exported
    assert size < 12e6
    assert {path.name for path in folder.iterdir()} == {
        "model_index.json", "unet", "vae", "text_encoder", "tokenizer", "scheduler",
    }  # fmt: skip
    model = ISeg.from_pretrained(folder, backbone="tiny", device="cpu")
    scene = render(scene_rng(8, 0), (90, 140))
    model.set_image(scene.image)
    result = model.segment(classes=list(scene.words), iterations=2)
    assert result.mask.shape == (90, 140)
    scores = evaluate.curves(model, "seen", seed=8, count=2, entropies=(0.0, model.recipe.entropy), iterations=10)
    assert [len(row) for row in scores.values()] == [11, 11]
    figures = evaluate.summary(model, scores, 2, 8)
    assert figures["raw"] == figures["with entropy reduction"][0] == figures["without entropy reduction"][0]


def test_the_iterated_loss_follows_the_methods_own_steps():
    torch.manual_seed(0)
    attention, maps = torch.rand(2, 49, 49).softmax(-1), torch.rand(2, 3, 49)
    truth = F.one_hot(torch.randint(0, 4, (2, 49)), 4)[..., 1:].permute(0, 2, 1).float()
    present = torch.tensor([[True, True, False], [True, True, True]])
    total = 0.0
    for iteration in losses.CHECKED:
        refined = torch.stack(
            [
                refine.refine(refine.reduce_entropy(a, 0.7), c.T, iteration).T
                for a, c in zip(attention, maps, strict=True)
            ]
        )
        total += float(losses.label_loss(refined, truth, present)) / len(losses.CHECKED)
    attention.requires_grad_()
    loss = losses.iterated_loss(attention, maps, truth, present, 0.7)
    assert float(loss.detach()) == pytest.approx(total, rel=1e-4)
    loss.backward()
    assert attention.grad is not None
    assert attention.grad.isfinite().all()


@pytest.mark.parametrize("shape", [(8, 40), (40, 8), (16, 16)])
def test_matrix_updates_are_nearly_orthogonal(shape):
    torch.manual_seed(0)
    values = torch.linalg.svdvals(optimizer.orthogonal(torch.randn(shape)))
    assert 0.5 < float(values.min()) <= float(values.max()) < 1.3


def test_convolutions_are_updated_in_place(trainer):
    weight = trainer.network.unet.down_blocks[1].resnets[0].conv1.weight
    view = optimizer.as_matrix(weight.detach())
    assert view.shape == (weight.shape[0], weight[0].numel())
    assert view.data_ptr() == weight.data_ptr()
    names = [
        name for name, weight in trainer.network.unet.named_parameters() if optimizer.is_hidden_matrix(name, weight)
    ]
    assert not any(name.startswith(("conv_in", "conv_out")) for name in names)


def test_two_processes_update_as_one(tmp_path):
    single = Trainer(MICRO, tmp_path)
    for weight in single.weights:
        weight.grad = torch.ones_like(weight)
    whole = [update.clone() for update in single.optimizer.updates()]
    shares = []
    for rank in range(2):
        half = Trainer(MICRO, tmp_path)
        half.optimizer.rank, half.optimizer.world = rank, 2
        for weight in half.weights:
            weight.grad = torch.ones_like(weight)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(optimizer.dist, "all_reduce", lambda flat: None)
            shares.append(half.optimizer.updates())
    for complete, *parts in zip(whole, *shares, strict=True):
        torch.testing.assert_close(complete, parts[0] + parts[1])
        assert not all(part.any() for part in parts)


def test_training_can_start_from_an_exported_model(exported, tmp_path):
    folder, _ = exported
    started = Trainer(Settings(**{**asdict(MICRO), "init": str(folder)}), tmp_path)
    kept = load_file(folder / "unet/diffusion_pytorch_model.safetensors")["conv_in.weight"]
    assert torch.equal(started.network.unet.conv_in.weight, kept.float())
