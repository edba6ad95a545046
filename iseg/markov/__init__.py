"""Clicks -> masks by the self-attention as a Markov chain (M2N2, arXiv 2411.10411; sections of `interactive.md`).

`chain` makes the transition matrix and counts steps, `flood` makes a distance map of a click, `radius` says how far a
click reaches, `fuse` lets the clicks decide together, `clicks` keeps per image what does not change.
"""

from iseg.markov.chain import balance, count_steps, sharpen, start_state
from iseg.markov.clicks import Chain, Click, MarkovMaps
from iseg.markov.flood import flood
from iseg.markov.fuse import fuse, margins
from iseg.markov.radius import radii

__all__ = [
    "Chain",
    "Click",
    "MarkovMaps",
    "balance",
    "count_steps",
    "flood",
    "fuse",
    "margins",
    "radii",
    "sharpen",
    "start_state",
]
