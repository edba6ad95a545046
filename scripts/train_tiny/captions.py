"""Captions of scenes, worded like the prompts the model is used with."""

import numpy as np

from scripts.train_tiny.scenes import Scene
from scripts.train_tiny.sprites import read_words

VOC_CONTEXT = "ground, land, grass, tree, building, wall, sky, lake, water"
COCO_CONTEXT = f"{VOC_CONTEXT}, river, sea, railway, "


def prompt(words: list[str], kind: str = "photograph", context: str | None = VOC_CONTEXT) -> str:
    """`a photograph of cat and dog and other object and background, ground, land, ...`; context None leaves it out."""
    start = f"a {kind} of {' and '.join(words)} and other object and background"
    return start if context is None else f"{start}, {context}"


def caption(rng: np.random.Generator, scene: Scene) -> tuple[str, dict[int, tuple[int, int]]]:
    """A caption and the character span (start, end) of every class shown, by VOC class id.

    One caption in ten is the empty prompt " " of the interactive modes and has no spans.
    """
    if rng.random() < 0.1:
        return " ", {}
    chosen = [word for word in read_words() if word.name in scene.words]
    rng.shuffle(chosen)  # type: ignore[arg-type]
    named = [str(rng.choice(word.also)) if word.also and rng.random() < 0.12 else word.name for word in chosen]
    kind = "photograph" if rng.random() < 0.7 else "photography"
    fitting = ", ".join(scene.grounds)
    contexts = [VOC_CONTEXT, VOC_CONTEXT, None, COCO_CONTEXT, fitting]
    text = prompt(named, kind, contexts[int(rng.integers(len(contexts)))])
    spans, start = {}, len(f"a {kind} of ")
    for word, name in zip(chosen, named, strict=True):
        # Users name the class as a whole; the published class lists read its last word alone.
        focus = name.split()[-1] if rng.random() < 0.5 else name
        end = start + len(name)
        spans[word.id] = (end - len(focus), end)
        start = end + len(" and ")
    return text, spans
