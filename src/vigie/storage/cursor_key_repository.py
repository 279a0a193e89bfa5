"""The key of cursors, made once and kept in the database: all servers on it have the same, also after a restart.

It is as secret as the changes that lie beside it, and so is not encrypted.
"""

from vigie.storage.database import Database, Session

_NAME = {"name": "cursor_key"}


class CursorKeyRepository:
    """One key, shared by all servers on a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find_or_put(self, new: bytes) -> bytes:
        """The key that is kept; `new` where there was none. Of several that come at once, one wins."""

        async def change(session: Session) -> None:
            await session.run("put_installation_value", {**_NAME, "value": new.hex()})

        row = await self._database.row("installation_value", _NAME)
        if row is None:
            await self._database.write(change)
            row = await self._database.row("installation_value", _NAME)
        return bytes.fromhex(row[0]) if row else new
