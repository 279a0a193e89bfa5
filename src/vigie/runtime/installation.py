"""One installation, opened: the store, the signing keys and the directory that the settings name."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from vigie.config.settings import DatabaseSettings, Settings, SettingsError
from vigie.core.api_resource import ApiResource
from vigie.identity.keys.key_encryption import HOW_TO_MAKE_A_SECRET, key_encryption_by
from vigie.identity.keys.key_store import DatabaseKeyStore, FileKeyStore, KeyStore
from vigie.identity.tokens.audiences import Audiences, own_audiences
from vigie.runtime.resources import RESOURCES
from vigie.storage.database import Database, StoreError
from vigie.storage.directory import DirectoryStore
from vigie.storage.incidents import IncidentStore
from vigie.storage.sign_ins import SignInStore
from vigie.storage.signing_key_repository import SigningKeyRepository
from vigie.storage.sqlite.database import open_sqlite
from vigie.storage.sqlite.file import check_whole
from vigie.storage.transfer import COPYING

KEY_FILE_NAME = "signing-keys.json"

# In one second a few hundred megabytes are looked through; a start shall not wait for more.
_CHECK_SECONDS_MAX = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """What every command works on."""

    settings: Settings
    resources: tuple[ApiResource, ...]
    database: Database
    directory: DirectoryStore
    incidents: IncidentStore
    sign_ins: SignInStore

    def keys(self) -> KeyStore:
        """Where the signing keys are: in the store under a secret, or without one in a file beside it.

        Raises SettingsError if several servers could not find them there.
        """
        if secret_file := self.settings.keys.secret_file:
            return DatabaseKeyStore(SigningKeyRepository(self.database), key_encryption_by(Path(secret_file)))
        if self.settings.database.is_shared:
            raise SettingsError(
                "[keys] secret_file is not set: servers on PostgreSQL share their signing keys in it, under a "
                f"secret that is the same for all; make one: {HOW_TO_MAKE_A_SECRET}"
            )
        return FileKeyStore(self.key_file)

    def check_whole(self) -> None:
        """Raise StoreError if the file of the store is damaged, as far as that can be seen in a moment."""
        if not self.settings.database.is_shared:
            check_whole(self.settings.database.path, seconds_max=_CHECK_SECONDS_MAX)

    @property
    def key_file(self) -> Path:
        """Where the keys lie, unless they are in the store."""
        return self.settings.database.folder / KEY_FILE_NAME

    async def issuer(self, public_url: str | None = None) -> str:
        """The base of the issuer of the tokens: what the settings say, else what was settled.

        It is settled once, from the public URL of that moment, so that the same tokens are good under
        whatever address the server is called later.
        """
        chosen = self.settings.identity.issuer
        return chosen or await self.directory.settle_issuer(public_url or public_url_of(self.settings))

    def audiences(self, public_url: str | None = None) -> Audiences:
        """What tokens are issued for and accepted from."""
        tls = self.settings.tls
        return own_audiences(
            self.resources,
            public_url or public_url_of(self.settings),
            self.settings.identity.audience_aliases,
            tls.names if tls.is_on else (),
        )


@asynccontextmanager
async def opened(
    settings: Settings,
    *,
    create: bool,
    may_be_unfinished: bool = False,
    resources: tuple[ApiResource, ...] = RESOURCES,
) -> AsyncIterator[Installation]:
    """Open an installation and let go of it at the end. Raises StoreError, saying what to do.

    A copy that is not finished is for `vigie copy` alone: half of it is missing, and what is changed in it stays.
    """
    database = await _open(settings.database, create=create)
    database.scan_seconds_max = settings.database.query_seconds
    try:
        if not may_be_unfinished and await database.row("installation_value", {"name": COPYING}):
            raise StoreError("the store is a copy that is not finished; run the same `vigie copy` again")
        yield Installation(
            settings=settings,
            resources=resources,
            database=database,
            directory=DirectoryStore(database, resources),
            incidents=IncidentStore(database),
            sign_ins=SignInStore(database),
        )
    finally:
        await database.close()


async def _open(settings: DatabaseSettings, *, create: bool) -> Database:
    if not settings.is_shared:
        return open_sqlite(settings.path, create=create)
    # Here, because not everybody has asyncpg.
    try:
        from vigie.storage.postgres.connection import check_files
        from vigie.storage.postgres.database import open_postgres
    except ModuleNotFoundError as error:
        raise StoreError("PostgreSQL needs asyncpg: `pip install '.[postgres]'` in Vigie's source") from error
    for url in (settings.url, *settings.replicas):
        check_files(url)
    return await open_postgres(settings.url, create=create)


def public_url_of(settings: Settings, port: int | None = None) -> str:
    """Where clients reach the server: as it is set, else the address that is listened at."""
    server = settings.server
    if server.public_url:
        return server.public_url
    host = "127.0.0.1" if server.host in ("0.0.0.0", "::") else server.host  # noqa: S104
    scheme = "https" if settings.tls.is_on else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port or server.port}"
