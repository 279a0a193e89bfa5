"""The settings that an operator may make. Only entry points read them."""

from importlib.util import find_spec
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated

import msgspec

from vigie.config import validators as rules
from vigie.config.issuer_settings import IssuerSettings, what_does_not_go_together
from vigie.config.validators import IN_MEMORY, SQLITE_PREFIX, Section
from vigie.files.trust import check_public, read_private, read_public
from vigie.ratelimit.address import QuotaStoreAddress, quota_store_address
from vigie.storage.postgres.urls import PREFIX as POSTGRES_PREFIX
from vigie.storage.postgres.urls import postgres_url

EMBEDDED_DATABASE = Path(".vigie/vigie.sqlite3")


class SettingsError(Exception):
    """A start that must not happen; the message is one line: the source, the key and what is allowed."""


class ServerSettings(Section, frozen=True, kw_only=True):
    """Where the server listens, and what it puts up with."""

    host: Annotated[rules.Host, "Where to listen."] = "127.0.0.1"
    port: Annotated[rules.Port, "Port to listen on; 0: any free port."] = 8400
    public_url: Annotated[rules.Origin, "The URL clients use; empty: http(s)://HOST:PORT as served."] = ""
    trusted_proxies: Annotated[rules.Networks, "Whose Forwarded and X-Forwarded-* headers are believed."] = ()
    connections_max: Annotated[rules.Count, "Connections open at once; more are turned away."] = 2000
    drain_seconds: Annotated[
        rules.DrainSeconds, "How long a stopping server waits for requests under way."
    ] = 10
    head_seconds: Annotated[rules.Seconds, "How long the head of a request may take."] = 10
    body_seconds: Annotated[rules.Seconds, "How long the body of a request may take."] = 30
    write_seconds: Annotated[rules.Seconds, "How long a client may leave an answer unread."] = 30
    anonymous_answers_per_second: Annotated[
        rules.Count,
        "Answers of a kind to unauthenticated clients in a second, a quarter as many pages; more are delayed.",
    ] = 100
    fast_path: Annotated[
        bool,
        "Whether repeated requests for an incident take the fast path; the answers are the same without it.",
    ] = True

    @property
    def trusted_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """`trusted_proxies` as networks; a single address is a network of one."""
        return tuple(ip_network(text) for text in self.trusted_proxies)


class TlsSettings(Section, frozen=True, kw_only=True):
    """Whether the server uses HTTPS, and with whose certificate."""

    mode: Annotated[
        rules.TlsMode,
        "auto: HTTPS with a certificate of Vigie's own making; empty: HTTPS if cert and key are set.",
    ] = ""
    names: Annotated[
        rules.Names, "What auto's certificate is for, beside the loopback, this machine and the public URL."
    ] = ()
    folder: Annotated[rules.Folder, "Where auto keeps what it makes; empty: beside the database."] = ""
    cert: Annotated[rules.File, "A certificate of your own with its chain, in PEM; used with key."] = ""
    key: Annotated[rules.File, "The private key of cert in PEM, without a passphrase."] = ""
    check_seconds: Annotated[
        rules.CheckSeconds, "How often the certificate's age and files are looked at, to renew it in time."
    ] = 60.0

    @property
    def makes_its_own(self) -> bool:
        """Whether the certificate comes from an authority of Vigie's own."""
        return self.mode == "auto"

    @property
    def is_on(self) -> bool:
        """Whether the server uses HTTPS."""
        return self.makes_its_own or bool(self.mode != "off" and (self.cert or self.key))

    def check(self) -> None:
        """Raise SettingsError if what is right by itself does not go together."""
        if not self.is_on:
            return
        if bool(self.cert) != bool(self.key):
            given, missing = ("cert", "key") if self.cert else ("key", "cert")
            raise SettingsError(f"[tls] {given} is set without [tls] {missing}: set both, or neither")
        if self.makes_its_own and self.cert:
            raise SettingsError(
                "[tls] mode = auto makes a certificate of its own: set it, or [tls] cert and key"
            )


class DatabaseSettings(Section, frozen=True, kw_only=True):
    """Where the incidents are kept."""

    url: Annotated[
        rules.Database,
        f"Where the database is, as seen from this file; empty: {SQLITE_PREFIX}{EMBEDDED_DATABASE}.",
    ] = ""

    query_seconds: Annotated[rules.Seconds, "How long a list may be read before it is cut."] = 10
    replicas: Annotated[
        rules.Replicas, "Replicas of a PostgreSQL database, from which incidents are read too."
    ] = ()
    replica_age_seconds_max: Annotated[
        rules.AgeSeconds, "How old the data of a replica may be; the same on all servers."
    ] = 5

    @property
    def is_shared(self) -> bool:
        """Whether the database is in PostgreSQL, where several servers may work on it."""
        return self.url.startswith(POSTGRES_PREFIX)

    @property
    def path(self) -> Path:
        """The SQLite file; a relative one is in the working directory, and `~` is a name like any other."""
        assert not self.is_shared  # noqa: S101
        return Path(self.url.removeprefix(SQLITE_PREFIX)) if self.url else EMBEDDED_DATABASE

    @property
    def folder(self) -> Path:
        """Where a server keeps what is its own: beside the database, or where that would be by default."""
        return (EMBEDDED_DATABASE if self.is_shared else self.path).parent

    @property
    def place(self) -> str:
        """Where the database is, as people may read it: without a password."""
        return postgres_url(self.url).shown if self.is_shared else str(self.path)

    @property
    def has_password(self) -> bool:
        """Whether the URL has a password in it."""
        return self.is_shared and postgres_url(self.url).has_password

    def check(self, quotas: "QuotaSettings") -> None:
        """Raise SettingsError if what is right by itself does not go together."""
        if self.replicas and not self.is_shared:
            raise SettingsError(
                "[database] replicas are set, but [database] url is no postgresql:// they follow"
            )
        if self.replicas and quotas.address is None:
            raise SettingsError(
                "[database] replicas are set without a Valkey or Redis in [quotas] store: servers remember there "
                "what a caller has changed, so that no replica answers it with what was before"
            )


class KeysSettings(Section, frozen=True, kw_only=True):
    """How the signing keys are kept in the database."""

    secret_file: Annotated[
        rules.File,
        "A secret of at least 32 bytes, that encrypts the signing keys in the database; the same on all servers.",
    ] = ""


class IdentitySettings(Section, frozen=True, kw_only=True):
    """Tokens: who issues them, for whom, and how long they last."""

    authority: Annotated[
        rules.Authority, "embedded: this installation issues tokens; none: only [[identity.issuers]] do."
    ] = "embedded"
    issuer: Annotated[
        rules.Origin, "Who issues tokens; empty: the public URL when the database was made, kept there."
    ] = ""
    token_lifetime_seconds: Annotated[
        rules.LifetimeSeconds, "How long a token lasts; MSAL treats one of less than 300 as expired."
    ] = 3599
    clock_skew_seconds: Annotated[rules.SkewSeconds, "How far the clocks of others may be off."] = 300
    revocation_seconds: Annotated[
        rules.RevocationSeconds, "How soon a revoked application, user or grant stops working."
    ] = 2.0
    token_cache_size: Annotated[rules.Count, "How many verified tokens are remembered."] = 10_000
    code_lifetime_seconds: Annotated[
        rules.CodeSeconds, "How long an authorization code may be redeemed, after somebody has signed in."
    ] = 120
    device_code_lifetime_seconds: Annotated[
        rules.DeviceSeconds, "How long a device waits for somebody to enter its code."
    ] = 900
    refresh_tokens: Annotated[
        rules.RefreshTokens,
        "reusable: good until its sign-in ends; single-use: followed by another, and reuse ends the sign-in.",
    ] = "reusable"
    refresh_idle_days: Annotated[
        rules.LifeDays, "Days after which a refresh token that nobody used is over."
    ] = 90
    refresh_days: Annotated[
        rules.LifeDays, "Days after which somebody has to sign in again, however often tokens were refreshed."
    ] = 90
    refresh_retry_seconds: Annotated[
        rules.RetrySeconds,
        "How long a single-use refresh token that was used may be sent again, for an answer that was lost.",
    ] = 10
    lockout_attempts: Annotated[
        rules.Count, "Wrong passwords in a row after which a name is locked out, twice as long each time."
    ] = 5
    lockout_seconds_max: Annotated[rules.LockoutSeconds, "The longest that a name is locked out."] = 900
    sign_ins_per_minute: Annotated[rules.Count, "How often an address may try a password in a minute."] = 30
    sign_ins_per_hour: Annotated[rules.Count, "How often an address may try a password in an hour."] = 300
    user_codes_per_minute: Annotated[
        rules.Count, "How often an address may enter the code of a device in a minute."
    ] = 20
    user_codes_per_hour: Annotated[
        rules.Count, "How often an address may enter the code of a device in an hour."
    ] = 100
    device_codes_per_minute: Annotated[
        rules.Count, "How often an address may ask for a device code in a minute."
    ] = 30
    device_codes_per_hour: Annotated[
        rules.Count, "How often an address may ask for a device code in an hour."
    ] = 300
    password_checks_at_once: Annotated[
        rules.Threads, "How many passwords are checked at once; each takes a thread and 19 MiB."
    ] = 2
    password_checks_waiting_max: Annotated[
        rules.Count, "How many more may wait for that; the rest is told to try again."
    ] = 32
    audience_aliases: Annotated[
        rules.Origins, "Further names of this installation, for which tokens are issued and accepted."
    ] = ()
    issuers: tuple[IssuerSettings, ...] = ()

    @property
    def issues_tokens(self) -> bool:
        """Whether this installation issues tokens itself."""
        return self.authority == "embedded"

    def check(self) -> None:
        """Raise SettingsError if what is right by itself does not go together."""
        if not self.issues_tokens and not self.issuers:
            raise SettingsError(
                "[identity] authority = none leaves nobody who issues tokens; add one in [[identity.issuers]]"
            )
        if problem := what_does_not_go_together(self.issuers):
            raise SettingsError(problem)
        for each in self.issuers:
            try:
                if each.ca:
                    check_public(Path(each.ca))
            except OSError as error:
                raise SettingsError(
                    f"[[identity.issuers]] {each.issuer}: ca = {each.ca}: cannot be read: {error.strerror}"
                ) from error


class QuotaSettings(Section, frozen=True, kw_only=True):
    """How often a caller may call."""

    get_per_minute: Annotated[rules.Count, "How often a caller may get an incident in a minute."] = 100
    get_per_hour: Annotated[rules.Count, "How often a caller may get an incident in an hour."] = 1500
    list_per_minute: Annotated[rules.Count, "How often a caller may list incidents in a minute."] = 50
    list_per_hour: Annotated[rules.Count, "How often a caller may list incidents in an hour."] = 1500
    update_per_minute: Annotated[rules.Count, "How often a caller may update incidents in a minute."] = 50
    update_per_hour: Annotated[rules.Count, "How often a caller may update incidents in an hour."] = 1500
    store: Annotated[
        rules.QuotaStore,
        "Where calls are counted: by each process for itself, or by one Valkey or Redis for all.",
    ] = IN_MEMORY
    password_file: Annotated[rules.File, "The password for that server, instead of one in the address."] = ""
    ca_file: Annotated[
        rules.File, "Whom to trust for that server's certificate, in PEM, beside the system's."
    ] = ""
    when_gone: Annotated[
        rules.WhenGone, "When that server is gone, local: each process counts for itself; refuse: 503."
    ] = "local"

    @property
    def address(self) -> QuotaStoreAddress | None:
        """The server that counts for all; None: each process counts for itself."""
        return None if self.store == IN_MEMORY else quota_store_address(self.store)

    def check(self) -> None:
        """Raise SettingsError if what is right by itself does not go together, or cannot be read."""
        if self.address is None:
            return
        if find_spec("redis") is None:
            raise SettingsError("[quotas] store needs redis-py: `pip install '.[valkey]'` in Vigie's source")
        if self.address.password and self.password_file:
            raise SettingsError("[quotas] password_file is set, and a password in [quotas] store: keep one")
        if self.ca_file and not self.address.has_tls:
            raise SettingsError("[quotas] ca_file is set, but the address in [quotas] store is without TLS")
        for key, file, read in (
            ("password_file", self.password_file, read_private),
            ("ca_file", self.ca_file, read_public),
        ):
            try:
                if file:
                    read(Path(file)).decode()
            except OSError as error:
                raise SettingsError(f"[quotas] {key} = {file}: cannot be read: {error.strerror}") from error
            except UnicodeDecodeError as error:
                raise SettingsError(f"[quotas] {key} = {file}: must be UTF-8, and is not") from error

    def read_password(self) -> str:
        """The password for the server; empty: none is needed. Raises OSError."""
        if self.password_file:
            return Path(self.password_file).read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
        return self.address.password if self.address else ""


class UpdateSettings(Section, frozen=True, kw_only=True):
    """What becomes of what updates say."""

    determinations: Annotated[
        rules.Determinations,
        "documented: NotMalicious is stored and answered as Clean, other aliases alike; as-sent: as itself.",
    ] = "documented"


class IncidentsSettings(Section, frozen=True, kw_only=True):
    """What is seen of incidents, where the API's documentation leaves it open."""

    stubs: Annotated[
        rules.Stubs,
        "Who sees what is left of a merged incident; target: those who see what it was merged into; "
        "everyone: every reader.",
    ] = "target"

    @property
    def has_open_stubs(self) -> bool:
        """Whether every reader sees every stub."""
        return self.stubs == "everyone"


class RetentionSettings(Section, frozen=True, kw_only=True):
    """How long incidents are kept."""

    days: Annotated[rules.Days, "Days an incident is kept; 0: for ever."] = 0


class LoggingSettings(Section, frozen=True, kw_only=True):
    """What is written to the log."""

    level: Annotated[rules.Level, "The least that is logged."] = "info"
    format: Annotated[
        rules.LogFormat,
        "console: lines for people; json: lines of JSON; auto: console on a terminal, else json.",
    ] = "auto"


class MetricsSettings(Section, frozen=True, kw_only=True):
    """Where Prometheus finds the counters."""

    listen: Annotated[rules.Listen, "Where /metrics is, and then only there; empty: on the main port."] = ""

    @property
    def address(self) -> tuple[str, int] | None:
        """Host (without brackets) and port of `listen`; None: the main port."""
        host, _, port = self.listen.rpartition(":")
        return (host.strip("[]"), int(port)) if self.listen else None


class ImportSettings(Section, frozen=True, kw_only=True):
    """What an import takes."""

    incident_bytes_max: Annotated[rules.Count, "The largest single incident, in bytes."] = 67108864


class Settings(Section, frozen=True, kw_only=True):
    """Everything that can be set. Made by `load_settings`; without arguments, the defaults."""

    server: ServerSettings = ServerSettings()
    tls: TlsSettings = TlsSettings()
    database: DatabaseSettings = DatabaseSettings()
    keys: KeysSettings = KeysSettings()
    identity: IdentitySettings = IdentitySettings()
    quotas: QuotaSettings = QuotaSettings()
    updates: UpdateSettings = UpdateSettings()
    incidents: IncidentsSettings = IncidentsSettings()
    retention: RetentionSettings = RetentionSettings()
    logging: LoggingSettings = LoggingSettings()
    metrics: MetricsSettings = MetricsSettings()
    imports: ImportSettings = msgspec.field(name="import", default=ImportSettings())

    def check(self) -> None:
        """Raise SettingsError if what is right by itself does not go together."""
        self.tls.check()
        self.quotas.check()
        self.database.check(self.quotas)
        self.identity.check()

    @property
    def certificates_folder(self) -> Path:
        """Where `[tls] mode = "auto"` keeps what it makes."""
        return Path(self.tls.folder) if self.tls.folder else self.database.folder
