"""The signing keys as the database has them: a text that is encrypted before it comes here."""

from collections.abc import Callable

from vigie.storage.database import Database, Session

_NAME = {"name": "signing_keys"}


class SigningKeyRepository:
    """One text, shared by all servers on a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self) -> str | None:
        """The text, None when there is none yet."""
        row = await self._database.row("installation_value", _NAME)
        return None if row is None else str(row[0])

    async def change(self, decide: Callable[[str | None], str]) -> str:
        """Replace it by what `decide` makes of it; no other server changes it meanwhile."""

        async def change(session: Session) -> str:
            row = await session.row("installation_value", _NAME)
            decided = decide(None if row is None else str(row[0]))
            await session.run("set_installation_value", {**_NAME, "value": decided})
            return decided

        return await self._database.write(change)
