"""One connection to the server that keeps the quotas, and what is asked over it. It never asks twice.

Whether a call that broke off was counted cannot be known, so nothing is sent again but what the server has
certainly not done: a script that it does not know yet.
"""

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from importlib.resources import files
from time import monotonic
from typing import Any, NamedTuple

from redis.asyncio import Connection, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError, ResponseError

from vigie.ratelimit.address import QuotaStoreAddress

Answer = list[int | bytes]
"""What a script returns: it says itself what that means."""


class Script:
    """A text that the server runs, and the name under which it remembers it."""

    def __init__(self, file_name: str) -> None:
        self.text = files("vigie.ratelimit").joinpath(file_name).read_bytes()
        self.name = hashlib.sha1(self.text, usedforsecurity=False).hexdigest().encode()


class ScriptCall(NamedTuple):
    """A script, and the keys and values that it is given."""

    script: Script
    keys: tuple[bytes, ...]
    values: tuple[bytes, ...]


class ConnectionLost(Exception):
    """The server did not answer, or cannot count; the message is for the log."""


class ValkeyConnection:
    """Asks one batch at a time, within `seconds_max` for all of it, opening the connection included."""

    def __init__(
        self,
        place: QuotaStoreAddress,
        *,
        read_password: Callable[[], str],
        ca_file: str = "",
        seconds_max: float,
    ) -> None:
        self._place = place
        self._read_password = read_password
        self._ca_file = ca_file
        self._seconds_max = seconds_max
        self._connection: Connection | None = None
        self.opened_at_seconds = 0.0
        """When the connection was opened, on the monotonic clock."""

    async def ask(self, questions: Sequence[ScriptCall]) -> list[Answer | ConnectionLost]:
        """An answer to each question, in their order. After a broken one the connection is opened anew."""
        answers: list[Answer | ConnectionLost] = []
        try:
            async with asyncio.timeout(self._seconds_max):
                connection = await self._opened()
                await self._ask_by_name(connection, questions, answers)
        except (RedisError, OSError, ValueError) as error:
            broken = ConnectionLost(_said_of(error))
            answers += [broken] * (len(questions) - len(answers))
        finally:
            # What broke off may leave answers behind that are not for those who ask next.
            if len(answers) < len(questions) or any(isinstance(answer, ConnectionLost) for answer in answers):
                await self._drop()
        return answers

    async def close(self) -> None:
        """Let go of the connection, if there is one, and wait until TLS has said goodbye."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(RedisError, OSError):
                await connection.disconnect()

    async def _drop(self) -> None:
        """Let go of a connection whose other end may not be there."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)

    async def _opened(self) -> Connection:
        # What there is to read before anything was asked is the end of the connection.
        if self._connection is not None and await self._connection.can_read():
            await self._drop()
        if self._connection is None:
            self._connection = self._new_connection()
            await self._connection.connect()  # type: ignore[no-untyped-call]
            self.opened_at_seconds = monotonic()
        return self._connection

    def _new_connection(self) -> Connection:
        place = self._place
        options: dict[str, Any] = {
            "host": place.host,
            "port": place.port,
            "db": place.number,
            "username": place.user or None,
            # Read each time, so that a new password needs no restart.
            "password": self._read_password() or None,
            "protocol": 2,
            "retry": Retry(NoBackoff(), 0),
            # One deadline is over everything.
            "socket_timeout": None,
            "socket_connect_timeout": self._seconds_max,
            "client_name": "vigie",
            "driver_info": None,
        }
        if not place.has_tls:
            return Connection(**options)
        return SSLConnection(**options, ssl_ca_certs=self._ca_file or None)

    async def _ask_by_name(
        self, connection: Connection, questions: Sequence[ScriptCall], answers: list[Answer | ConnectionLost]
    ) -> None:
        await _send(connection, [(b"EVALSHA", each.script.name, each) for each in questions])
        unknown = []
        for place, _ in enumerate(questions):
            try:
                answers.append(await _answer(connection))
            except NoScriptError:
                unknown.append(place)
                answers.append(ConnectionLost("the script was not taken"))
        if unknown:
            again = [questions[place] for place in unknown]
            await _send(connection, [(b"EVAL", each.script.text, each) for each in again])
            for place in unknown:
                answers[place] = await _answer(connection)


async def _send(connection: Connection, asked: Iterable[tuple[bytes, bytes, ScriptCall]]) -> None:
    commands = [
        (command, script, b"%d" % len(question.keys), *question.keys, *question.values)
        for command, script, question in asked
    ]
    await connection.send_packed_command(connection.pack_commands(commands))


async def _answer(connection: Connection) -> Answer | ConnectionLost:
    """One answer. Raises NoScriptError; a server that answers, but cannot count, is broken for this call."""
    try:
        answer: Answer = await connection.read_response()
    except NoScriptError:
        raise
    except ResponseError as error:
        return ConnectionLost(_said_of(error))
    return answer


def _said_of(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:200]
