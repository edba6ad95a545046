"""The exceptions that bad input raises: a single clear line, no trace."""


class InputError(ValueError):
    """What the caller gave cannot be used: the message says what was given, what is expected and how to mend it."""


class NotFinite(InputError):
    """An image's maps hold NaN or infinity: the weights are broken, or the precision is too small for them."""
