"""Words that clients may write in any letter case, and that are kept in one."""

from collections.abc import Iterable


def canonical(word: str, words: Iterable[str]) -> str | None:
    """The one of `words` that is this word in any letter case; None for none of them.

    Only ASCII letters have a case here: U+212A is no `k`, though Python lowers it to one.
    """
    wanted = word.lower() if word.isascii() else None
    return next((each for each in words if each.lower() == wanted), None)
