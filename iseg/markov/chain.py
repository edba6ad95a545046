"""The self-attention as a Markov chain: its transition matrix, and how many steps a cell is away from a start."""

import torch
import torch.nn.functional as F
from torch import Tensor

from iseg.marks import Point

TEMPERATURE, ROUNDS = 0.65, 200
REACHED = 0.3  # of a state's maximum: tau of the method
MOST_STEPS = 1000
CHECKED_ROUNDS = 10
FASTER_ROWS = 8
BALANCED = 1e-7  # relative change of a factor in a round, below which further rounds change nothing in float32
DIVISOR = 1e-6  # the published division by (d + 1e-6)


def sharpen(attention: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """Row softmax of `log(A) / T` = rows of `A^(1/T)` that sum to 1: (N, N) -> (N, N); the input is not changed.

    A row of zeros stays so.
    """
    peak = attention.amax(1, keepdim=True)  # of the row: powers of small numbers would vanish
    rows = (attention / torch.where(peak > 0, peak, torch.ones_like(peak))).pow_(1 / temperature)
    return rows.div_(_or_one(rows.sum(1, keepdim=True)))


def balance(matrix: Tensor, rounds: int = ROUNDS) -> Tensor:
    """Iterative proportional fitting: columns to sum 1, then rows, `rounds` times: (N, N) >= 0 -> doubly stochastic.

    Only the factors of rows and columns are iterated, `P = r_i A_ij c_j`, two products of a matrix and a vector a
    round; it ends early where a round changes nothing more. An empty column or row stays empty.
    """
    rows = columns = torch.ones_like(matrix[0])
    for round_ in range(rounds):
        columns, before = _inverse(rows @ matrix), columns
        rows = _inverse(matrix @ columns)
        if round_ % CHECKED_ROUNDS == CHECKED_ROUNDS - 1:
            change = (columns - before).abs() / _or_one(columns)
            if float(change.amax()) < BALANCED:
                break
    return (matrix * columns).mul_(rows[:, None])


def start_state(point: Point, image_size: tuple[int, int], grid: tuple[int, int]) -> Tensor:
    """The start (h, w) float32 of a click (x, y) in pixels of an image (H, W): bilinear weights, maximum 1."""
    (x, y), (height, width), (rows, columns) = point, image_size, grid
    state = torch.zeros(rows, columns)
    u, v = (columns - 1) * x / width, (rows - 1) * y / height
    left, top = min(int(u), columns - 1), min(int(v), rows - 1)
    for row, share_y in ((top, 1 - (v - top)), (min(top + 1, rows - 1), v - top)):
        for column, share_x in ((left, 1 - (u - left)), (min(left + 1, columns - 1), u - left)):
            state[row, column] += share_y * share_x
    return state / state.amax()


def count_steps(
    matrix: Tensor,
    start: Tensor,
    reached: float = REACHED,
    most: int = MOST_STEPS,
    power: Tensor | None = None,
    power_of: int = 1,
) -> Tensor:
    """After how many steps of the chain each cell is reached, between the steps by interpolation.

    Args:
        matrix: (N, N) transition matrix, rows = from.
        start: (B, N) states whose maximum is 1.
        reached: share of the state's maximum that a cell must exceed.
        most: steps after which a cell counts as never reached; its count is `most`.
        power, power_of: `matrix` to that power: so many steps are then made by one reading of a large matrix.

    Returns:
        (B, N) in 0..most.
    """
    counts = torch.full_like(start, float(most))
    counts[start > reached] = 0
    waiting = start <= reached
    before, recent = start, start[:, None]  # (B, N); (B, n, N), the last n states
    made = 0
    while made < most and bool(waiting.any()):
        jump = power if made >= power_of else None
        window = _unit(recent[:, -1:] @ matrix if jump is None else _advance(recent, jump))
        for t, state in enumerate(window.unbind(1), made + 1):
            step = (1 - reached) if t == 1 else state - before
            arrived = waiting & (state > reached)
            counts = torch.where(arrived, t - (state - reached) / (step + DIVISOR), counts)
            waiting &= ~arrived
            change, before = (state - before).abs().amax(), state
        made += window.shape[1]
        recent = window if made == 1 else torch.cat([recent, window], 1)[:, -power_of:]
        left = (reached - before[waiting]).amin() if bool(waiting.any()) else change.new_tensor(0.0)
        if left > (most - made) * change:  # as many more such changes would not reach a cell that waits
            break
    return counts.clamp_(max=most)


def _advance(states: Tensor, power: Tensor) -> Tensor:
    """(B, n, N) states -> states @ power; CPU libraries take half as long for eight rows as for four."""
    rows = states.flatten(0, 1)
    padded = F.pad(rows, (0, 0, 0, max(0, FASTER_ROWS - len(rows))))
    return (padded @ power)[: len(rows)].reshape_as(states)


def _unit(states: Tensor) -> Tensor:
    return states / _or_one(states.amax(-1, keepdim=True))


def _inverse(values: Tensor) -> Tensor:
    return torch.where(values > 0, 1 / _or_one(values), torch.zeros_like(values))


def _or_one(values: Tensor) -> Tensor:
    return torch.where(values > 0, values, torch.ones_like(values))
