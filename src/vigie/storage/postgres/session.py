"""Named statements on one connection to PostgreSQL."""

from collections.abc import Iterable

import asyncpg

from vigie.storage.database import Row, Values
from vigie.storage.postgres.statement import named, received


class PostgresSession:
    """Named statements on one connection."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def row(self, statement: str, values: Values) -> Row | None:
        """The first row, None when there is none."""
        asked = named(statement)
        found = await self._connection.fetchrow(asked.text, *asked.arguments(values))
        return None if found is None else received(found)

    async def rows(self, statement: str, values: Values) -> list[Row]:
        """Every row."""
        asked = named(statement)
        return [received(row) for row in await self._connection.fetch(asked.text, *asked.arguments(values))]

    async def run(self, statement: str, values: Values) -> int:
        """Run a change and say how many rows it touched."""
        asked = named(statement)
        # The server ends its answer with a word and a number: "UPDATE 1".
        answer = await self._connection.execute(asked.text, *asked.arguments(values))
        return int(answer.rpartition(" ")[2])

    async def run_many(self, statement: str, values: Iterable[Values]) -> None:
        """Run a change once for each set of values."""
        asked = named(statement)
        await self._connection.executemany(asked.text, [asked.arguments(each) for each in values])
