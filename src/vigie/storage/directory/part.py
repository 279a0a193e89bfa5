"""The base of the parts of the directory: how all of them read, and change what they hold."""

from collections.abc import Mapping

from vigie.storage.database import Change, Database, Session, T


class DirectoryPart:
    """One kind of entry of the directory. Running servers learn of every change, and read the directory anew."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def _change(self, change: Change[T]) -> T:
        async def and_touch(session: Session) -> T:
            result = await change(session)
            await session.run("touch_directory", {})
            return result

        return await self._database.write(and_touch)

    async def _run(self, statement: str, values: Mapping[str, object]) -> int:
        async def change(session: Session) -> int:
            return await session.run(statement, values)

        return await self._change(change)
