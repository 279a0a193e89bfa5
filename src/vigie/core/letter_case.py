"""Words that may be written in any letter case, and that are kept or compared in one.

Only ASCII letters have a case here. Python lowers U+212A to `k` and folds `ß` to `ss`: who is called so would pass
for somebody else.
"""

from collections.abc import Iterable
from string import ascii_lowercase, ascii_uppercase

_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)


def canonical(word: str, words: Iterable[str]) -> str | None:
    """The one of `words` that is this word in any letter case; None for none of them."""
    wanted = lowered(word)
    return next((each for each in words if lowered(each) == wanted), None)


def lowered(text: str) -> str:
    """A text with its ASCII letters in lower case, and all else as it is."""
    return text.lower() if text.isascii() else text.translate(_LOWER)
