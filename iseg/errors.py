"""The exceptions that bad input raises, each a single clear line, and how such a line is shown."""

import unicodedata

LONGEST_ECHO, LONGEST_LINE = 200, 480  # characters of what was given, and of a whole line


class InputError(ValueError):
    """What the caller gave cannot be used: the message says what was given, what is expected and how to mend it."""


class NotFinite(InputError):
    """An image's maps hold NaN or infinity: the weights are broken, or the precision is too small for them."""


def echo(value: object, longest: int = LONGEST_ECHO) -> str:
    """What was given, as Python writes it, for a message: of a long one both ends."""
    try:
        return shorten(repr(value), longest)
    except (ValueError, RecursionError):  # an integer of thousands of digits, lists within lists
        return f"a {type(value).__name__} that is too long to show"


def shorten(text: str, longest: int) -> str:
    """A text of at most so many characters: the middle of a longer one is left out."""
    if len(text) <= longest:
        return text
    end = longest // 3
    return f"{text[: longest - end - 5]} ... {text[-end:]}"


def printable(message: object, longest: int = LONGEST_LINE) -> str:
    """A message as one line for a terminal: no control characters, nothing that turns text around, not too long.

    What is taken out is written as an escape ("\\x1b"), the bytes of a name that is not UTF-8 too.
    """
    line = " ".join(str(message).split())
    return shorten("".join(map(_visible, line)), longest)


def _visible(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # a byte that is not UTF-8, as Python holds it in a path
        return f"\\x{ord(character) - 0xDC00:02x}"
    # Cc: control, Cf: direction and other invisible signs, Cs: surrogates
    if unicodedata.category(character) in ("Cc", "Cf", "Cs"):
        return character.encode("unicode_escape", "surrogatepass").decode("ascii")
    return character
