"""Named statements on one connection to PostgreSQL."""

from collections.abc import Iterable, Mapping

import asyncpg

from vigie.storage.database import Deferred, Row, Values
from vigie.storage.postgres.statement import Numbered, named, numbered, received


class PostgresSession:
    """Named statements on one connection, the program's unless `texts` are given."""

    def __init__(self, connection: asyncpg.Connection, texts: Mapping[str, str] | None = None) -> None:
        self.deferred: dict[object, Deferred] = {}
        self._connection = connection
        self._texts = texts

    async def row(self, statement: str, values: Values) -> Row | None:
        """The first row, None when there is none."""
        query = self._query(statement)
        found = await self._connection.fetchrow(query.text, *query.arguments(values))
        return None if found is None else received(found)

    async def rows(self, statement: str, values: Values) -> list[Row]:
        """Every row."""
        query = self._query(statement)
        return [received(row) for row in await self._connection.fetch(query.text, *query.arguments(values))]

    async def run(self, statement: str, values: Values) -> int:
        """Run a change and say how many rows it touched."""
        query = self._query(statement)
        # The server ends its answer with a word and a number: "UPDATE 1".
        answer = await self._connection.execute(query.text, *query.arguments(values))
        return int(answer.rpartition(" ")[2])

    async def run_many(self, statement: str, values: Iterable[Values]) -> None:
        """Run a change once for each set of values."""
        query = self._query(statement)
        await self._connection.executemany(query.text, [query.arguments(each) for each in values])

    def _query(self, statement: str) -> Numbered:
        return named(statement) if self._texts is None else numbered(self._texts[statement])
