"""An opened installation: the database, the directory and the signing keys that the settings name."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic

import msgspec

from vigie.application.evidence import EvidenceService
from vigie.application.incidents import IncidentService
from vigie.config.settings import DatabaseSettings, Settings, SettingsError
from vigie.core.api_resource import ApiResource
from vigie.identity.keys.key_encryption import (
    HOW_TO_MAKE_A_SECRET,
    WEBHOOK_SECRETS,
    KeyEncryption,
    key_encryption_beside,
    key_encryption_by,
)
from vigie.identity.keys.key_store import DatabaseKeyStore, FileKeyStore, KeyStore
from vigie.identity.tokens.audiences import Audiences, own_audiences
from vigie.observability.event_log import log
from vigie.runtime.resources import RESOURCES
from vigie.storage.change_feed import ChangeFeed
from vigie.storage.database import Database, StoreError
from vigie.storage.directory.store import DirectoryStore
from vigie.storage.evidence_projection import EvidenceProjection
from vigie.storage.incidents import IncidentStore
from vigie.storage.migration_steps.progress import Progress
from vigie.storage.sign_ins import SignInStore
from vigie.storage.signing_key_repository import SigningKeyRepository
from vigie.storage.sqlite.database import open_sqlite
from vigie.storage.sqlite.file import check_whole
from vigie.storage.transfer import COPYING
from vigie.storage.webhooks import WebhookStore

KEY_FILE_NAME = "signing-keys.json"
WEBHOOK_KEY_FILE_NAME = "webhook-secrets.key"

# One second is enough for a few hundred megabytes; a server that is stopped at once waits no longer for it.
_CHECK_SECONDS_MAX = 1.0
_REPORT_SECONDS = 2.0


class Installation(msgspec.Struct, frozen=True, kw_only=True):
    """The database and the stores on it, which commands and the server work on."""

    settings: Settings
    resources: tuple[ApiResource, ...]
    database: Database
    directory: DirectoryStore
    incidents: IncidentStore
    change_feed: ChangeFeed
    evidence_projection: EvidenceProjection
    webhooks: WebhookStore
    sign_ins: SignInStore

    def keys(self) -> KeyStore:
        """The store of the signing keys: the database if there is a secret to encrypt them, else a file beside it.

        Raises SettingsError for a key file with PostgreSQL, whose servers share their keys.
        """
        if secret_file := self.settings.keys.secret_file:
            return DatabaseKeyStore(SigningKeyRepository(self.database), key_encryption_by(Path(secret_file)))
        if self.settings.database.is_shared:
            raise SettingsError(
                "[keys] secret_file is not set: PostgreSQL stores the signing keys encrypted with a secret "
                f"that all servers share; create one: {HOW_TO_MAKE_A_SECRET}"
            )
        return FileKeyStore(self.key_file)

    def webhook_encryption(self, *, create: bool) -> KeyEncryption:
        """The encryption of webhooks' secrets: as that of the signing keys, else with a file beside the database.

        With `create`, a missing file is made. Raises SettingsError, KeyFileError or UntrustedFile.
        """
        if secret_file := self.settings.keys.secret_file:
            return key_encryption_by(Path(secret_file), WEBHOOK_SECRETS)
        if self.settings.database.is_shared:
            raise SettingsError(
                "[keys] secret_file is not set: PostgreSQL stores the secrets of webhooks encrypted with a secret "
                f"that all servers share; create one: {HOW_TO_MAKE_A_SECRET}"
            )
        return key_encryption_beside(self.webhook_key_file, WEBHOOK_SECRETS, create=create)

    def check_whole(self) -> None:
        """Raise StoreError if the SQLite file is damaged, as far as a check of a second can tell."""
        if not self.settings.database.is_shared:
            is_complete = check_whole(self.settings.database.path, seconds_max=_CHECK_SECONDS_MAX)
            log.info("database_checked", complete=is_complete)

    @property
    def key_file(self) -> Path:
        """The file of the signing keys, unless they are in the database."""
        return self.settings.database.folder / KEY_FILE_NAME

    @property
    def webhook_key_file(self) -> Path:
        """The file with the key to the secrets of webhooks, unless `[keys] secret_file` encrypts them."""
        return self.settings.database.folder / WEBHOOK_KEY_FILE_NAME

    def incident_service(self) -> IncidentService:
        """The use cases of incidents, with the retention of the settings."""
        return IncidentService(self.incidents, retention_days=self.settings.retention.days)

    def evidence_service(self) -> EvidenceService:
        """The use cases of evidence."""
        return EvidenceService(self.incident_service(), self.evidence_projection)

    async def issuer(self, public_url: str | None = None) -> str:
        """The issuer of the tokens: the one of the settings, else the one stored in the database.

        It is stored once, from the public URL at that time, so that tokens stay valid when the address of the
        server changes.
        """
        chosen = self.settings.identity.issuer
        return chosen or await self.directory.settle_issuer(public_url or public_url_of(self.settings))

    def audiences(self, public_url: str | None = None) -> Audiences:
        """The audiences that tokens are issued for and accepted with."""
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
    """Open an installation for the block. Raises StoreError, with what to do.

    An unfinished copy is for `vigie copy` alone: a part is missing, and changes would not be overwritten.
    """
    database = await _open(settings.database, create=create)
    database.scan_seconds_max = settings.database.query_seconds
    try:
        if not may_be_unfinished and await database.row("installation_value", {"name": COPYING}):
            raise StoreError("the database is an unfinished copy; run the same `vigie copy` again")
        incidents, change_feed = IncidentStore(database), ChangeFeed(database)
        yield Installation(
            settings=settings,
            resources=resources,
            database=database,
            directory=DirectoryStore(database, resources),
            incidents=incidents,
            change_feed=change_feed,
            evidence_projection=EvidenceProjection(database, incidents, change_feed),
            webhooks=WebhookStore(database),
            sign_ins=SignInStore(database),
        )
    finally:
        await database.close()


async def _open(settings: DatabaseSettings, *, create: bool) -> Database:
    if not settings.is_shared:
        return open_sqlite(settings.path, create=create, on_progress=_MigrationReport())
    # Here, because asyncpg is optional.
    try:
        from vigie.storage.postgres.connection import check_files
        from vigie.storage.postgres.database import open_postgres
    except ModuleNotFoundError as error:
        raise StoreError("PostgreSQL needs asyncpg: `pip install '.[postgres]'` in Vigie's source") from error
    for url in (settings.url, *settings.replicas):
        check_files(url)
    return await open_postgres(settings.url, create=create, on_progress=_MigrationReport())


class _MigrationReport:
    """Says on stderr how far the database has been brought up to date, now and then."""

    def __init__(self) -> None:
        self._said_at = monotonic()

    def __call__(self, progress: Progress) -> None:
        if monotonic() - self._said_at < _REPORT_SECONDS:
            return
        self._said_at = monotonic()
        sys.stderr.write(
            f"bringing the database up to date: {progress.done:,} of {progress.total:,} incidents; "
            "it may be stopped, and goes on from there\n"
        )


def public_url_of(settings: Settings, port: int | None = None) -> str:
    """The URL at which clients reach the server: the setting, else the listening address."""
    server = settings.server
    if server.public_url:
        return server.public_url
    host = "127.0.0.1" if server.host in ("0.0.0.0", "::") else server.host  # noqa: S104
    scheme = "https" if settings.tls.is_on else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port or server.port}"
