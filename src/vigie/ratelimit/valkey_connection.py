"""One connection to the server that has the quotas, and the script calls that are sent over it. None is sent twice.

Whether a call was counted whose answer was lost cannot be known, so nothing is sent again but what the server has
certainly not run: a script that it does not know yet.
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
"""What a script returns. The head of its file says what that means."""


class Script:
    """A text that the server runs, and the digest under which it caches it."""

    def __init__(self, file_name: str) -> None:
        self.text = files("vigie.ratelimit").joinpath(file_name).read_bytes()
        self.digest = hashlib.sha1(self.text, usedforsecurity=False).hexdigest().encode()


class ScriptCall(NamedTuple):
    """A script, and the keys and values that it is given."""

    script: Script
    keys: tuple[bytes, ...]
    values: tuple[bytes, ...]


class ConnectionLost(Exception):
    """The server did not answer, or cannot count; the message is for the log."""


class ValkeyConnection:
    """Sends one batch at a time, within `seconds_max` for all of it, opening the connection included."""

    def __init__(
        self,
        address: QuotaStoreAddress,
        *,
        read_password: Callable[[], str],
        ca_file: str = "",
        seconds_max: float,
    ) -> None:
        self._address = address
        self._read_password = read_password
        self._ca_file = ca_file
        self._seconds_max = seconds_max
        self._connection: Connection | None = None
        self.opened_at_seconds = 0.0
        """When the connection was opened, on the monotonic clock."""

    async def run(self, calls: Sequence[ScriptCall]) -> list[Answer | ConnectionLost]:
        """The answer to each call, in their order. After a lost one the connection is opened anew."""
        answers: list[Answer | ConnectionLost] = []
        try:
            async with asyncio.timeout(self._seconds_max):
                connection = await self._opened()
                await self._run_by_digest(connection, calls, answers)
        except (RedisError, OSError, ValueError) as error:
            lost = ConnectionLost(_described(error))
            answers += [lost] * (len(calls) - len(answers))
        finally:
            # Late answers may still come on this connection: they must not be taken for those of the next batch.
            if len(answers) < len(calls) or any(isinstance(answer, ConnectionLost) for answer in answers):
                await self._drop()
        return answers

    async def close(self) -> None:
        """Close the connection, if there is one, and wait until TLS has been shut down."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(RedisError, OSError):
                await connection.disconnect()

    async def _drop(self) -> None:
        """Close a connection whose other end may not be there, without waiting for it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)

    async def _opened(self) -> Connection:
        # Data to read before anything was sent is the end of the connection: better found now than by a call.
        if self._connection is not None and await self._connection.can_read():
            await self._drop()
        if self._connection is None:
            self._connection = self._new_connection()
            await self._connection.connect()  # type: ignore[no-untyped-call]
            self.opened_at_seconds = monotonic()
        return self._connection

    def _new_connection(self) -> Connection:
        address = self._address
        options: dict[str, Any] = {
            "host": address.host,
            "port": address.port,
            "db": address.number,
            "username": address.user or None,
            # Read each time, so that a new password needs no restart.
            "password": self._read_password() or None,
            "protocol": 2,
            "retry": Retry(NoBackoff(), 0),
            # One deadline covers everything.
            "socket_timeout": None,
            "socket_connect_timeout": self._seconds_max,
            "client_name": "vigie",
            "driver_info": None,
        }
        if not address.has_tls:
            return Connection(**options)
        return SSLConnection(**options, ssl_ca_certs=self._ca_file or None)

    async def _run_by_digest(
        self, connection: Connection, calls: Sequence[ScriptCall], answers: list[Answer | ConnectionLost]
    ) -> None:
        """Add the answers to `answers` as they come, so that those before a failure count."""
        await _send(connection, [(b"EVALSHA", each.script.digest, each) for each in calls])
        unknown = []
        for index, _ in enumerate(calls):
            try:
                answers.append(await _read_answer(connection))
            except NoScriptError:
                unknown.append(index)
                answers.append(ConnectionLost("the script is not known to the server"))
        if unknown:
            again = [calls[index] for index in unknown]
            await _send(connection, [(b"EVAL", each.script.text, each) for each in again])
            for index in unknown:
                answers[index] = await _read_answer(connection)


async def _send(connection: Connection, calls: Iterable[tuple[bytes, bytes, ScriptCall]]) -> None:
    commands = [
        (command, script, b"%d" % len(call.keys), *call.keys, *call.values) for command, script, call in calls
    ]
    await connection.send_packed_command(connection.pack_commands(commands))


async def _read_answer(connection: Connection) -> Answer | ConnectionLost:
    """One answer. Raises NoScriptError; a server that answers with another error is lost for this call."""
    try:
        answer: Answer = await connection.read_response()
    except NoScriptError:
        raise
    except ResponseError as error:
        return ConnectionLost(_described(error))
    return answer


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:200]
