"""Client secrets: 256 random bits, or as many characters of somebody's choice, of which only a hash is kept."""

import hashlib
import secrets

from vigie.core.directory import DirectoryError

CHOSEN_LENGTH_MIN, CHOSEN_LENGTH_MAX = 32, 512
_DIFFERENT_COUNT_MIN = 10
_HOW_TO_MAKE_ONE = "`openssl rand -base64 33` makes one"


def new_secret() -> str:
    """A secret that nobody has seen before."""
    return secrets.token_urlsafe(32)


def check_chosen_secret(secret: str) -> None:
    """Raise DirectoryError for a chosen secret that is too weak, or that clients would not send alike.

    One round of a fast hash is kept of it: what is good enough for a password can be guessed here.
    """
    if not CHOSEN_LENGTH_MIN <= len(secret) <= CHOSEN_LENGTH_MAX:
        raise DirectoryError(
            f"the client secret has {len(secret)} characters, and needs {CHOSEN_LENGTH_MIN} to "
            f"{CHOSEN_LENGTH_MAX}; {_HOW_TO_MAKE_ONE}"
        )
    if not all("!" <= each <= "~" for each in secret):
        raise DirectoryError(
            f"a client secret has printable ASCII characters alone, without spaces; {_HOW_TO_MAKE_ONE}"
        )
    if _is_repetitive(secret):
        raise DirectoryError(f"the client secret repeats itself and can be guessed; {_HOW_TO_MAKE_ONE}")


def _is_repetitive(text: str) -> bool:
    # A text is inside its double, first and last character apart, only where it repeats a shorter one.
    return len(set(text)) < _DIFFERENT_COUNT_MIN or text in (text + text)[1:-1]


def hash_secret(secret: str) -> bytes:
    """What is kept of a secret. One round is enough: there is nothing to guess in 256 random bits."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
