"""Passwords of people: hashed with argon2id on threads, a few at once, and no more waiting than is bearable.

Source: OWASP Password Storage Cheat Sheet, argon2id with 19 MiB; NIST SP 800-63B, 5.1.1.2: what is commonly used or
expected is refused, and there are no rules of composition.
"""

import asyncio
import os
import secrets
import threading
import unicodedata
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING, TypeVar

import msgspec

from vigie.core.directory import DirectoryError

if TYPE_CHECKING:
    from argon2 import PasswordHasher

T = TypeVar("T")

LENGTH_MIN = 12
LENGTH_MAX = 1024

_NAME_LENGTH_MIN = 3
_ADVICE = "take four or more words that have nothing to do with each other, or one of a password manager"

_SCORE_MIN = 3
"""Of zxcvbn: at least 10^8 guesses, by somebody who knows common passwords, words, dates and keyboards."""

_RATED_LENGTH_MAX = 72
"""How much of a password is rated: more takes long, and is not needed."""

_NICENESS = 5


class TooManyPasswords(Exception):
    """More passwords wait to be checked than is bearable."""


class Checked(msgspec.Struct, frozen=True):
    """Whether a password was right, and a new hash of it where the one that is kept is weaker than today's."""

    is_right: bool
    better_hash: str | None = None


def check_new_password(password: str, names: Collection[str]) -> None:
    """Raise DirectoryError unless it can be a password: long enough, and hard to guess.

    `names` are those of the user and the organisation. They count neither for the length nor against a guess.
    """
    normal = _normal(password)
    if not LENGTH_MIN <= len(normal) <= LENGTH_MAX:
        raise DirectoryError(f"a password has {LENGTH_MIN} to {LENGTH_MAX} characters")
    known = {name.casefold() for name in names if len(name) >= _NAME_LENGTH_MIN}
    if len(_without(normal.casefold(), known)) < LENGTH_MIN:
        raise DirectoryError(
            f"a password has at least {LENGTH_MIN} characters beside the names of the user, the organisation and "
            f"Vigie; {_ADVICE}"
        )
    if _is_easy_to_guess(normal, known):
        raise DirectoryError(f"the password is too easy to guess; {_ADVICE}")


def _without(text: str, names: Collection[str]) -> str:
    for name in sorted(names, key=len, reverse=True):
        text = text.replace(name, "")
    return text


def _is_easy_to_guess(password: str, names: Collection[str]) -> bool:
    # Here, because it takes 20 MB and half a second, and is needed by the one command alone.
    from zxcvbn import zxcvbn

    found = zxcvbn(password[:_RATED_LENGTH_MAX], user_inputs=list(names), max_length=_RATED_LENGTH_MAX)
    return int(found["score"]) < _SCORE_MIN


def hash_password(password: str) -> str:
    """The hash that is kept of a password. It takes a while, and 19 MiB."""
    return _hasher().hash(_bytes_of(password))


class PasswordChecks:
    """Checks passwords on threads: `at_once` of them, with `waiting_max` more behind them."""

    def __init__(self, *, at_once: int, waiting_max: int) -> None:
        self._at_once = at_once
        self._free_slots = at_once + waiting_max
        self._free_threads = at_once + waiting_max
        self._threads: ThreadPoolExecutor | None = None

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Hold one of the slots of those that may wait. Raises TooManyPasswords."""
        if self._free_slots <= 0:
            raise TooManyPasswords
        self._free_slots -= 1
        try:
            yield
        finally:
            self._free_slots += 1

    async def check(self, password: str, kept_hash: str | None) -> Checked:
        """Whether a password is the one that a hash was made of. Raises TooManyPasswords.

        Without a hash it is not, and that takes as long to say.
        """
        return await self._on_thread(lambda: _check(password, kept_hash))

    async def _on_thread(self, work: Callable[[], T]) -> T:
        # Those whose answer nobody waits for any more have left their slot, but not their thread.
        if self._free_threads <= 0:
            raise TooManyPasswords
        if self._threads is None:
            self._threads = ThreadPoolExecutor(
                self._at_once, thread_name_prefix="vigie-passwords", initializer=_give_way
            )
        self._free_threads -= 1
        task = asyncio.get_running_loop().run_in_executor(self._threads, work)
        # When the work is done, not when somebody stops waiting for it.
        task.add_done_callback(lambda _: self._make_room())
        return await asyncio.shield(task)

    def _make_room(self) -> None:
        self._free_threads += 1

    def close(self) -> None:
        """Let the threads go."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)


def _give_way() -> None:
    """Let requests go before: on Linux a thread has a priority of its own.

    Not by much, for a thread that waits for the interpreter waits for this thread too.
    """
    thread = threading.get_native_id()
    # A hardened system may refuse this; then they do not give way.
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, thread, min(19, os.getpriority(os.PRIO_PROCESS, thread) + _NICENESS))


def _check(password: str, kept_hash: str | None) -> Checked:
    from argon2.exceptions import InvalidHashError, VerificationError

    # Also where it is not needed: the first try would else take longer for a name that nobody has.
    of_nothing = _hash_of_nothing()
    try:
        _hasher().verify(kept_hash or of_nothing, _bytes_of(password))
    except (VerificationError, InvalidHashError):
        return Checked(is_right=False)
    if kept_hash is None:
        return Checked(is_right=False)
    outdated = _hasher().check_needs_rehash(kept_hash)
    return Checked(is_right=True, better_hash=hash_password(password) if outdated else None)


@cache
def _hasher() -> "PasswordHasher":
    # Here, because a server that nobody signs in to needs none of it.
    from argon2 import PasswordHasher, Type

    return PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1, type=Type.ID)


@cache
def _hash_of_nothing() -> str:
    """Of a password that nobody has: for users who are not there, or have none."""
    return hash_password(secrets.token_urlsafe(32))


def _normal(password: str) -> str:
    """The one spelling of what looks alike, so that a password does not depend on the keyboard."""
    # At most four of what is typed become one: what is cut off here belongs to none that could be kept.
    return unicodedata.normalize("NFKC", password[: 4 * LENGTH_MAX + 1])


def _bytes_of(password: str) -> bytes:
    return _normal(password)[: LENGTH_MAX + 1].encode("utf-8", "surrogatepass")
