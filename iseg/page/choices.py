"""Settings of the recipe that are chosen per object: how clicks and boxes are decided, what is done to the mask."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

from iseg.errors import InputError
from iseg.recipe import Recipe

# Field of the recipe -> kinds of marks it matters to (empty: any), and what people read: its name, and its values
OFFERED: dict[str, tuple[tuple[str, ...], str, dict[Any, str]]] = {
    "upsample": ((), "Maps", {"bilinear": "smooth", "bilateral": "along edges"}),
    "outline": ((), "Outline", {"map": "of the map", "cut": "cut"}),
    "mark_threshold": (("points", "lines"), "Threshold", {"fixed": "the same for all", "otsu": "fits each map"}),
    "click_decision": (("points",), "Points", {"refine": "spread", "markov": "walk (Markov maps)"}),
    "box_decision": (("boxes",), "Boxes", {"refine": "spread", "absorb": "not like outside", "tight": "fills the box"}),
}

Decision = tuple[tuple[str, Any], ...]


def options() -> dict[str, list[Any]]:
    """The values of each field that is offered."""
    hints = get_type_hints(Recipe)
    there = [each.name for each in fields(Recipe) if each.name in OFFERED]
    found = {name: _values(hints[name]) for name in there}
    return {name: values for name, values in found.items() if values}


def described(recipe: Recipe) -> list[dict[str, Any]]:
    """For the page: name, label, kinds, values with their words, and the model's own value of each field offered."""
    return [
        {"name": name, "label": OFFERED[name][1], "kinds": list(OFFERED[name][0]), "values": values,
         "words": [OFFERED[name][2][value] for value in values], "default": getattr(recipe, name)}
        for name, values in options().items()
    ]  # fmt: skip


def parse_decision(value: Any) -> Decision:
    """{field: value} of a request, checked. Raises InputError."""
    known = options()
    if not isinstance(value, Mapping):
        raise InputError(f"decision is a {type(value).__name__}: expected a mapping")
    for name, chosen in value.items():
        if name not in known:
            raise InputError(f"decision names {name!r:.80}: expected {', '.join(known) or 'nothing'}")
        if not any(chosen is each or (type(chosen) is type(each) and chosen == each) for each in known[name]):
            raise InputError(f"{name} is {chosen!r:.80}: expected one of {', '.join(map(str, known[name]))}")
    return tuple(sorted(value.items()))


def _values(hint: Any) -> list[Any]:
    if hint is bool:
        return [False, True]
    return list(get_args(hint)) if get_origin(hint) is Literal else []
