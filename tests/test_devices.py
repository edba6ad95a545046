"""What a GPU would ask for, without one: nothing waits for a value, nothing mixes devices, float64 stays on the CPU.

Tensors on "meta" have a shape and no values: looking at one raises, and so does computing with one of another device.
"""

import copy

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from iseg import ClassWord, ISeg, masks, seeds, solve
from iseg.results import Attended

WORDS = [[ClassWord("cat")], [ClassWord("dog"), ClassWord("cat")]]
SIZES = [(90, 140), (50, 30)]


@pytest.fixture
def far_away(tiny):
    """The embedded model on "meta"."""
    parts = copy.copy(tiny.backbone)
    parts.scheduler = copy.deepcopy(parts.scheduler)  # it keeps a tensor where it was last used
    for name in ("text_encoder", "vae", "unet"):
        setattr(parts, name, copy.deepcopy(getattr(parts, name)).to("meta"))
    parts.device, parts._embedded = torch.device("meta"), type(parts._embedded)()
    return ISeg(parts, tiny.recipe.changed(cluster=True, cluster_stride=6))


def test_the_guard_guards():
    far = torch.zeros(3, device="meta")
    with pytest.raises(RuntimeError, match="device"):
        far + torch.zeros(3)
    with pytest.raises(RuntimeError):
        far.unique()
    with pytest.raises(RuntimeError):
        bool(far.any())


@pytest.mark.parametrize("background", ["power", 0.4])
def test_from_images_to_labels_nothing_is_waited_for(far_away, background):
    recipe = far_away.recipe.changed(background=background, entropy_normalize_rows=True)
    latents = far_away.encode([np.zeros((*size, 3), np.uint8) for size in SIZES], recipe)
    for attended, words in zip(far_away.attend_latents(latents, WORDS, SIZES, recipe), WORDS, strict=True):
        steps = solve.refine_classes(attended, recipe)
        assert steps.shape == (recipe.iterations + 1, attended.grid_size**2, len(words))
        ids = range(1, len(words) + 1)
        labels = masks.decide(steps[-1], attended.size, ids, background, recipe.working_size)
        assert (labels.shape, labels.device.type) == (attended.size, "meta")


def test_a_point_waits_for_nothing(far_away):
    latents = far_away.encode([np.zeros((90, 140, 3), np.uint8)], far_away.recipe)
    attended = far_away.attend_latents(latents, [[]], SIZES[:1], far_away.recipe)[0]
    points = seeds.points([(3, 4), (99, 80)], attended.size, attended.grid_size)
    assert solve.refine_seeds(attended, points, far_away.recipe, points).device.type == "meta"


class NoDoubles(TorchDispatchMode):
    """Raises on a float64 tensor of Apple's GPUs, which do not have them."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in tree_iter(result):
            if isinstance(tensor, torch.Tensor) and tensor.device.type == "mps" and tensor.dtype == torch.float64:
                raise TypeError(f"{func} made float64 on mps")
        return result


def test_clusters_are_made_on_the_cpu_where_a_gpu_has_no_float64(tiny):
    mode = FakeTensorMode()
    tokens, attention = (
        FakeTensor(mode, torch.empty(*shape, device="meta"), torch.device("mps", 0)) for shape in ((9, 8, 8), (64, 64))
    )
    recipe = tiny.recipe.changed(cluster=True, cluster_stride=3, entropy_normalize_rows=False)
    attended = Attended(tokens, attention, [[1], [2, 3]], ["cat", "dog"], (20, 30))
    with mode, NoDoubles():
        with pytest.raises(TypeError, match="float64 on mps"):
            tokens.double()
        steps = solve.refine_classes(attended, recipe)
    assert (steps.shape, steps.device.type) == ((recipe.iterations + 1, 64, 2), "mps")
