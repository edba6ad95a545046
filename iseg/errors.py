"""The one exception that bad input raises: a single clear line, no trace."""


class InputError(ValueError):
    """What the caller gave cannot be used: the message says what was given, what is expected and how to mend it."""
