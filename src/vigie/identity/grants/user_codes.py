"""The codes that devices show, for people to type: short, in letters that are not easily confused.

Source: RFC 8628, 6.1, whose alphabet it is: 20 consonants, 34 bits in eight of them.
"""

import secrets

_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
_LENGTH = 8


def new_user_code() -> str:
    """A code that nobody has seen before, as it is kept."""
    return "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH))


def displayed_user_code(user_code: str) -> str:
    """A code as a device shows it: in two halves."""
    half = _LENGTH // 2
    return f"{user_code[:half]}-{user_code[half:]}"


def parse_user_code(text: str) -> str | None:
    """The code that somebody typed, in whatever case and with whatever between its letters; None for none."""
    letters = "".join(letter for letter in text[:100] if letter.isalnum())
    letters = letters.upper() if letters.isascii() else letters
    return letters if len(letters) == _LENGTH and set(letters) <= set(_LETTERS) else None
