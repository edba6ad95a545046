"""One object from the first click to the last."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from iseg import kinds
from iseg.markov import Click
from iseg.noc.protocol import LIMIT, TARGETS, Protocol, Truth, next_click, next_click_m2n2, overlap
from iseg.recipe import Recipe
from iseg.results import Attended
from iseg.solve import solve_maps

Decide = Callable[[Sequence[Click]], NDArray[np.bool_]]  # all clicks so far -> mask (H, W)
DECISIONS = ("refine", "markov", "cut")


@dataclass(frozen=True)
class Played:
    """The clicks on an object, and the IoU after each of them."""

    clicks: list[Click]
    ious: list[float]


def play(truth: Truth, decide: Decide, protocol: Protocol = "ritm", whole: bool = False, limit: int = LIMIT) -> Played:
    """Click until the IoU is the highest of `TARGETS`, at most `limit` times.

    Args:
        truth: of the object; the mask before the first click is empty.
        decide: clicks -> mask (H, W), e.g. of `decision`.
        protocol: how the next click is found; m2n2 never ends early.
        whole: always click to the limit, for a curve in which no value stands for later ones.
    """
    mask = np.zeros(truth.region.shape, bool)
    played = Played([], [])
    goal = np.inf if whole or protocol == "m2n2" else max(TARGETS)
    while len(played.clicks) < limit:
        if protocol == "m2n2":
            click = next_click_m2n2(truth, mask)
        else:
            click = next_click(truth, mask, [(int(each.y), int(each.x)) for each in played.clicks])
        played.clicks.append(click)
        mask = decide(played.clicks)
        played.ious.append(overlap(truth, mask))
        if played.ious[-1] >= goal:
            break
    return played


def decision(attended: Attended, recipe: Recipe, name: str) -> Decide:
    """What clicks on an image give, from a recorded pass; negative clicks alone give nothing.

    Args:
        attended: the pass of the empty prompt, with its picture.
        recipe: its settings.
        name: one of `DECISIONS`, all of which are `ISeg.segment` with points and negative points; "cut" is Markov maps
            with the outline cut.
    """
    by = {"click_decision": "refine"} if name == "refine" else {"click_decision": "markov"}
    changed = recipe.changed(**by, outline="cut" if name == "cut" else "map")

    def decide(clicks: Sequence[Click]) -> NDArray[np.bool_]:
        inside = [(each.x, each.y) for each in clicks if each.inside]
        outside = [(each.x, each.y) for each in clicks if not each.inside]
        if not inside:
            return np.zeros(attended.size, bool)
        first = kinds.first_maps("points", inside, outside, None, attended.size, attended.grid_size)
        return solve_maps(attended, first, changed, "points").mask > 0

    return decide
