"""The refusal of a query option, without the words that an API puts around it."""


class InvalidOption(ValueError):
    """A query option that cannot be used or read.

    The text says why, and has the caller's own words marked by `user_text`.
    """
