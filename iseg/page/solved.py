"""What the model gives for an object: maps after every iteration, or one score that is decided already."""

import base64
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from iseg import marked, seeds, solve
from iseg.absorb import LOWER
from iseg.finite import check_finite, finite_array, to_grids
from iseg.marks import Marks
from iseg.recipe import Recipe
from iseg.results import Attended


@dataclass
class Solved:
    """Maps of one object, and how they become scores.

    Attributes:
        steps: (N + 1, HW, K) after 0..N iterations; K = 1 but for words alone.
        attended: the pass, recipe: with what the object itself chose.
        of_marks: they come from marks alone.
        follows_edges: false for what is exact as it is, such as regions.
        score: (h', w') in [0, 1], decided at the recipe's border; then `steps` holds the first map only.
        cut: (K, h', w') in [0, 1], the scores after `cut_at` iterations with their outline cut: the page shows and
            saves these, and the maps while iterations are played.
    """

    steps: Tensor
    attended: Attended
    recipe: Recipe
    of_marks: bool = False
    follows_edges: bool = True
    score: Tensor | None = None
    cut: Tensor | None = None
    cut_at: int = 0

    @property
    def is_automatic(self) -> bool:
        """Whether the border is put where the map's own values say."""
        return self.score is None and self.of_marks and self.recipe.mark_threshold == "otsu"

    @property
    def form(self) -> str:
        """What the page does with the arrays: "decided", "edges" (along the picture's), or "grid"."""
        if self.score is not None:
            return "decided"
        return "edges" if self.follows_edges and self.recipe.upsample == "bilateral" else "grid"

    def fine(self, index: int) -> Tensor:
        """The score (h', w') in [0, 1] of the last maps, on the CPU: what a threshold decides on."""
        if self.score is not None:
            return torch.from_numpy(finite_array(self.score))
        if self.cut is not None:
            return torch.from_numpy(finite_array(self.cut[index]))
        check_finite(self.steps[-1])
        recipe = self.recipe if self.follows_edges else replace(self.recipe, upsample="bilinear")
        return solve.fine_scores(self.steps[-1][:, [index]], self.attended, recipe, self.is_automatic)[0].cpu()

    def outlined(self, iterations: int, marks: Marks | None) -> "Solved":
        """The same, with its outline cut where the recipe says so, after so many iterations; marks: of the object."""
        if self.recipe.outline == "map" or self.score is not None or not self.follows_edges:
            return self
        check_finite(self.steps[iterations])
        scores = solve.fine_scores(self.steps[iterations], self.attended, self.recipe, self.is_automatic)
        cut = marked.outlined(scores, self.attended, None if marks is None else [marks], self.recipe)
        return replace(self, cut=cut, cut_at=iterations)

    def arrays(self, only_last: bool) -> NDArray[np.float32]:
        """What the page is sent: maps (N + 1, K, g, g), or the score (1, 1, h', w')."""
        if self.score is not None:
            return finite_array(self.score[None, None])
        return to_grids(self.steps[-1:] if only_last else self.steps)


def decided(attended: Attended, marks: Marks, recipe: Recipe) -> Solved | None:
    """Marks by another decision than refinement; None where they are to be refined."""
    refined = None
    if marks.boxes and recipe.box_decision != "refine" and (marks.points or marks.lines):
        columns, _ = seeds.columns(replace(marks, boxes=(), negative=()), attended.size, attended.grid_size)
        refined = solve.refine_seeds(attended, columns, recipe)[-1, :, 0]
    score = marked.marks_score(attended, marks, recipe, refined)
    if score is None:
        return None
    columns, _ = seeds.columns(marks, attended.size, attended.grid_size)
    return Solved(columns.amax(1)[None, :, None], attended, recipe, True, True, score)


def told(solved: Solved, only_last: bool) -> dict[str, Any]:
    """An answer of the page's: arrays in base64, and how they become scores."""
    arrays = solved.arrays(only_last)
    answer: dict[str, Any] = {"steps": _packed(arrays), "shape": list(arrays.shape), "form": solved.form}
    if solved.score is not None:
        answer["seed"] = _packed(to_grids(solved.steps))
    if solved.cut is not None:
        cut = finite_array(solved.cut)
        answer["cut"] = {"scores": _packed(cut), "shape": list(cut.shape), "at": solved.cut_at}
    return {**answer, "automatic": solved.is_automatic}


def edges(attended: Attended, recipe: Recipe) -> dict[str, Any]:
    """What the page needs to follow the picture's edges as `upsample.separable_bilateral` does."""
    guide = (attended.guide(recipe.decision_size).cpu() * 255).round().to(torch.uint8)
    return {
        "guide": base64.b64encode(guide.numpy().tobytes()).decode(),
        "width": guide.shape[2],
        "height": guide.shape[1],
        "cells": recipe.upsample_cells,
        "range": recipe.upsample_range,
        "lower": LOWER,
        "border": marked.border_of(recipe),
    }


def _packed(values: NDArray[np.float32]) -> str:
    return base64.b64encode(values.astype("<f4").tobytes()).decode()
