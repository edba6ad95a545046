"""Several kinds of prompts on one object: words, points, lines and boxes together."""

import torch
from torch import Tensor

from iseg import seeds, solve
from iseg.errors import InputError
from iseg.marks import Marks
from iseg.recipe import Recipe
from iseg.results import Attended


@torch.inference_mode()
def combined(attended: Attended, marks: Marks, spoken: Tensor | None, recipe: Recipe, max_cells: int) -> Tensor:
    """The map (N + 1, HW, 1) of one object after 0..N iterations.

    Args:
        attended: the empty prompt's pass.
        marks: of the object; with `spoken` they may be only negative ones.
        spoken: the map (N + 1, HW, 1) of the words that the object is also described by.
        max_cells: grid cells that points and lines may touch.

    The merged map of the marks and the map of the words, each with maximum 1, are averaged; the merged map of the
    negative marks is subtracted, clamped at 0. Raises InputError for marks that cannot be used.
    """
    grid = attended.grid_size
    if spoken is None:
        columns, negative = seeds.columns(marks, attended.size, grid)
        _check(columns.shape[1] - len(marks.boxes), max_cells)
        return solve.refine_seeds(attended, columns, recipe, negative)
    parts = [spoken]
    if marks.points or marks.lines or marks.boxes:
        columns, _ = seeds.columns(marks, attended.size, grid)
        _check(columns.shape[1] - len(marks.boxes), max_cells)
        parts.append(solve.refine_seeds(attended, columns, recipe).to(spoken.device))
    steps = seeds.merge(torch.cat(parts, 2))
    if not marks.negative:
        return steps
    against = solve.refine_seeds(attended, seeds.points(marks.negative, attended.size, grid), recipe)
    return (steps - against.to(steps.device)).clamp_min(0)


def _check(cells: int, most: int) -> None:
    if cells > most:
        raise InputError(
            f"the points and lines touch {cells} cells of the grid: expected at most {most}; use fewer or shorter lines"
        )
