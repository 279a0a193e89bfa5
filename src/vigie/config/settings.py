"""The settings of an installation, by section. Only entry points read them."""

from importlib.util import find_spec
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated

import msgspec

from vigie.config import validators
from vigie.config.issuer_settings import IssuerSettings, conflict_of
from vigie.config.validators import IN_MEMORY, SQLITE_PREFIX, Section
from vigie.files.trust import check_public, read_private, read_public
from vigie.ratelimit.address import QuotaStoreAddress, quota_store_address
from vigie.storage.postgres.urls import PREFIX as POSTGRES_PREFIX
from vigie.storage.postgres.urls import postgres_url

EMBEDDED_DATABASE = Path(".vigie/vigie.sqlite3")


class SettingsError(Exception):
    """Invalid settings; the message is one line with the source, the key and the allowed values."""


class ServerSettings(Section, frozen=True, kw_only=True):
    """The address of the server and its limits."""

    host: Annotated[validators.Host, "Address or host name to listen on."] = "127.0.0.1"
    port: Annotated[validators.Port, "Port to listen on; 0: any free port."] = 8400
    public_url: Annotated[
        validators.Origin, "The URL that clients use; empty: http(s)://HOST:PORT of the listening address."
    ] = ""
    trusted_proxies: Annotated[
        validators.Networks, "Proxies whose Forwarded and X-Forwarded-* headers are trusted."
    ] = ()
    connections_max: Annotated[
        validators.Count, "Maximum number of open connections; further ones are rejected."
    ] = 2000
    drain_seconds: Annotated[
        validators.DrainSeconds, "How long a stopping server waits for requests in progress."
    ] = 10
    head_seconds: Annotated[validators.Seconds, "Time limit for the head of a request."] = 10
    body_seconds: Annotated[validators.Seconds, "Time limit for the body of a request."] = 30
    write_seconds: Annotated[validators.Seconds, "Time limit for a client to read a response."] = 30
    change_streams_max: Annotated[
        validators.Count, "Maximum number of open change streams; further ones are rejected."
    ] = 500
    anonymous_answers_per_second: Annotated[
        validators.Count,
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
    """HTTPS and its certificate."""

    mode: Annotated[
        validators.TlsMode,
        "auto: HTTPS with a generated certificate; off: plain HTTP; empty: HTTPS if cert and key are set.",
    ] = ""
    names: Annotated[
        validators.Names,
        "Names in the generated certificate, besides the loopback, this machine and the public URL.",
    ] = ()
    folder: Annotated[
        validators.Folder, "Folder for the generated certificates; empty: the folder of the database."
    ] = ""
    cert: Annotated[validators.File, "A certificate of your own with its chain, in PEM; used with key."] = ""
    key: Annotated[validators.File, "The private key of cert in PEM, without a passphrase."] = ""
    check_seconds: Annotated[
        validators.CheckSeconds, "Interval at which the certificate is checked, and renewed or reloaded."
    ] = 60.0

    @property
    def makes_its_own(self) -> bool:
        """Whether the certificate is signed by the private certificate authority."""
        return self.mode == "auto"

    @property
    def is_on(self) -> bool:
        """Whether the server uses HTTPS."""
        return self.makes_its_own or bool(self.mode != "off" and (self.cert or self.key))

    def check(self) -> None:
        """Raise SettingsError for values that cannot be combined."""
        if not self.is_on:
            return
        if bool(self.cert) != bool(self.key):
            given, missing = ("cert", "key") if self.cert else ("key", "cert")
            raise SettingsError(f"[tls] {given} is set without [tls] {missing}: set both, or neither")
        if self.makes_its_own and self.cert:
            raise SettingsError(
                "[tls] mode = auto cannot be combined with [tls] cert and key: set one of them"
            )


class DatabaseSettings(Section, frozen=True, kw_only=True):
    """The database."""

    url: Annotated[
        validators.Database,
        f"URL of the database, relative to this file; empty: {SQLITE_PREFIX}{EMBEDDED_DATABASE}.",
    ] = ""

    query_seconds: Annotated[validators.Seconds, "Time limit for reading a list."] = 10
    replicas: Annotated[
        validators.Replicas, "Replicas of a PostgreSQL database, from which incidents are also read."
    ] = ()
    replica_age_seconds_max: Annotated[
        validators.AgeSeconds, "Maximum age of the data of a replica; the same on all servers."
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
        """The folder for files of a server: that of the database, or of the default database."""
        return (EMBEDDED_DATABASE if self.is_shared else self.path).parent

    @property
    def place(self) -> str:
        """The path or URL of the database, without a password."""
        return postgres_url(self.url).shown if self.is_shared else str(self.path)

    @property
    def has_password(self) -> bool:
        """Whether the URL has a password in it."""
        return self.is_shared and postgres_url(self.url).has_password

    def check(self, quotas: "QuotaSettings") -> None:
        """Raise SettingsError for values that cannot be combined."""
        if self.replicas and not self.is_shared:
            raise SettingsError("[database] replicas require a postgresql:// URL in [database] url")
        if self.replicas and quotas.address is None:
            raise SettingsError(
                "[database] replicas require a Valkey or Redis in [quotas] store, which records the changes of a "
                "caller, so that no replica returns older data"
            )


class KeysSettings(Section, frozen=True, kw_only=True):
    """The encryption of the signing keys in the database."""

    secret_file: Annotated[
        validators.File,
        "File with a secret of at least 32 bytes that encrypts the signing keys; the same on all servers.",
    ] = ""


class IdentitySettings(Section, frozen=True, kw_only=True):
    """Tokens, sign-in and their limits."""

    authority: Annotated[
        validators.Authority, "embedded: this installation issues tokens; none: only [[identity.issuers]] do."
    ] = "embedded"
    issuer: Annotated[
        validators.Origin,
        "Issuer of tokens; empty: the public URL at the creation of the database, stored in it.",
    ] = ""
    token_lifetime_seconds: Annotated[
        validators.LifetimeSeconds, "Lifetime of a token; MSAL treats one of less than 300 as expired."
    ] = 3599
    clock_skew_seconds: Annotated[
        validators.SkewSeconds, "Allowed difference between the clocks of clients or issuers and this one."
    ] = 300
    revocation_seconds: Annotated[
        validators.RevocationSeconds, "Time until a revoked application, user or grant is rejected."
    ] = 2.0
    token_cache_size: Annotated[validators.Count, "Maximum number of verified tokens in the cache."] = 10_000
    code_lifetime_seconds: Annotated[validators.CodeSeconds, "Lifetime of an authorization code."] = 120
    device_code_lifetime_seconds: Annotated[validators.DeviceSeconds, "Lifetime of a device code."] = 900
    refresh_tokens: Annotated[
        validators.RefreshTokens,
        "reusable: valid until the sign-in ends; single-use: replaced at each use, and reuse ends the sign-in.",
    ] = "reusable"
    refresh_idle_days: Annotated[validators.LifeDays, "Days after which an unused refresh token expires."] = (
        90
    )
    refresh_days: Annotated[
        validators.LifeDays, "Days after which a user must sign in again, even if tokens were refreshed."
    ] = 90
    refresh_retry_seconds: Annotated[
        validators.RetrySeconds,
        "How long a used single-use refresh token may be sent again, in case the response was lost.",
    ] = 10
    lockout_attempts: Annotated[
        validators.Count,
        "Consecutive wrong passwords before an account is locked out, each time for twice as long.",
    ] = 5
    lockout_seconds_max: Annotated[validators.LockoutSeconds, "Maximum duration of a lockout."] = 900
    sign_ins_per_minute: Annotated[validators.Count, "Password attempts per address and minute."] = 30
    sign_ins_per_hour: Annotated[validators.Count, "Password attempts per address and hour."] = 300
    user_codes_per_minute: Annotated[
        validators.Count, "Attempts to enter a user code, per address and minute."
    ] = 20
    user_codes_per_hour: Annotated[
        validators.Count, "Attempts to enter a user code, per address and hour."
    ] = 100
    device_codes_per_minute: Annotated[
        validators.Count, "Requests for a device code, per address and minute."
    ] = 30
    device_codes_per_hour: Annotated[
        validators.Count, "Requests for a device code, per address and hour."
    ] = 300
    password_checks_at_once: Annotated[
        validators.Threads, "Passwords verified concurrently; each needs a thread and 19 MiB."
    ] = 2
    password_checks_waiting_max: Annotated[
        validators.Count, "Password checks that may wait; further users are asked to try again."
    ] = 32
    audience_aliases: Annotated[
        validators.Origins, "Further URLs of this installation, for which tokens are issued and accepted."
    ] = ()
    issuers: tuple[IssuerSettings, ...] = ()

    @property
    def issues_tokens(self) -> bool:
        """Whether this installation issues tokens itself."""
        return self.authority == "embedded"

    def check(self) -> None:
        """Raise SettingsError for values that cannot be combined."""
        if not self.issues_tokens and not self.issuers:
            raise SettingsError("[identity] authority = none requires an issuer in [[identity.issuers]]")
        if problem := conflict_of(self.issuers):
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
    """The number of requests that a caller may send."""

    get_per_minute: Annotated[validators.Count, "Requests for an incident, per caller and minute."] = 100
    get_per_hour: Annotated[validators.Count, "Requests for an incident, per caller and hour."] = 1500
    list_per_minute: Annotated[validators.Count, "Requests for a list, per caller and minute."] = 50
    list_per_hour: Annotated[validators.Count, "Requests for a list, per caller and hour."] = 1500
    update_per_minute: Annotated[validators.Count, "Updates of incidents, per caller and minute."] = 50
    update_per_hour: Annotated[validators.Count, "Updates of incidents, per caller and hour."] = 1500
    changes_per_minute: Annotated[
        validators.Count, "Requests for the change feed, per caller and minute."
    ] = 600
    changes_per_hour: Annotated[validators.Count, "Requests for the change feed, per caller and hour."] = (
        20_000
    )
    change_streams: Annotated[validators.Count, "Open change streams, per caller."] = 10
    store: Annotated[
        validators.QuotaStore,
        "Where calls are counted: in the memory of each process, or in a Valkey or Redis that all share.",
    ] = IN_MEMORY
    password_file: Annotated[
        validators.File, "File with the password of that server, instead of one in the address."
    ] = ""
    ca_file: Annotated[
        validators.File, "Certificate authorities for that server, in PEM, in addition to the system's."
    ] = ""
    when_gone: Annotated[
        validators.WhenGone,
        "When that server is unavailable: local: each process counts for itself; refuse: 503.",
    ] = "local"

    @property
    def address(self) -> QuotaStoreAddress | None:
        """The server that counts for all; None: each process counts for itself."""
        return None if self.store == IN_MEMORY else quota_store_address(self.store)

    def check(self) -> None:
        """Raise SettingsError for values that cannot be combined, or files that cannot be read."""
        if self.address is None:
            return
        if find_spec("redis") is None:
            raise SettingsError("[quotas] store needs redis-py: `pip install '.[valkey]'` in Vigie's source")
        if self.address.password and self.password_file:
            raise SettingsError("[quotas] password_file and a password in [quotas] store cannot be combined")
        if self.ca_file and not self.address.has_tls:
            raise SettingsError("[quotas] ca_file requires an address with TLS in [quotas] store")
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
                raise SettingsError(f"[quotas] {key} = {file}: must be UTF-8") from error

    def read_password(self) -> str:
        """The password for the server; empty: none is needed. Raises OSError."""
        if self.password_file:
            return Path(self.password_file).read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
        return self.address.password if self.address else ""


class UpdateSettings(Section, frozen=True, kw_only=True):
    """The treatment of updates."""

    determinations: Annotated[
        validators.Determinations,
        "documented: aliases are stored as documented, such as NotMalicious as Clean; as-sent: unchanged.",
    ] = "documented"


class IncidentsSettings(Section, frozen=True, kw_only=True):
    """The visibility of incidents where the documentation of the API leaves it open."""

    stubs: Annotated[
        validators.Stubs,
        "Visibility of merged incidents; target: as the incident they were merged into; "
        "everyone: every reader.",
    ] = "target"

    @property
    def has_open_stubs(self) -> bool:
        """Whether every reader sees every stub."""
        return self.stubs == "everyone"


class RetentionSettings(Section, frozen=True, kw_only=True):
    """How long incidents and their changes are kept."""

    days: Annotated[validators.Days, "Days after which an incident is removed; 0: never."] = 0
    change_days: Annotated[
        validators.Days, "Days after which an entry of the change feed is removed; 0: never."
    ] = 30


class WebhookSettings(Section, frozen=True, kw_only=True):
    """The delivery of changes to webhooks."""

    private_addresses: Annotated[
        validators.Networks,
        "Private addresses that a webhook added with --allow-private may lead to; empty: none.",
    ] = ()
    ca_file: Annotated[
        validators.File, "Certificate authorities for receivers, in PEM, in addition to the system's."
    ] = ""
    timeout_seconds: Annotated[validators.DeliverySeconds, "Time limit for one delivery."] = 15
    give_up_hours: Annotated[
        validators.GiveUpHours, "Hours of failed deliveries after which a webhook is given up."
    ] = 72
    poll_seconds: Annotated[
        validators.PollSeconds, "Interval at which each server looks for changes to deliver."
    ] = 1.0

    @property
    def private_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """`private_addresses` as networks; a single address is a network of one."""
        return tuple(ip_network(text) for text in self.private_addresses)

    def check(self) -> None:
        """Raise SettingsError for a file that cannot be read."""
        try:
            if self.ca_file:
                check_public(Path(self.ca_file))
        except OSError as error:
            raise SettingsError(
                f"[webhooks] ca_file = {self.ca_file}: cannot be read: {error.strerror}"
            ) from error


class LoggingSettings(Section, frozen=True, kw_only=True):
    """The log."""

    level: Annotated[validators.Level, "Minimum level of log entries."] = "info"
    format: Annotated[
        validators.LogFormat,
        "console: lines for people; json: lines of JSON; auto: console on a terminal, else json.",
    ] = "auto"


class MetricsSettings(Section, frozen=True, kw_only=True):
    """The metrics for Prometheus."""

    listen: Annotated[validators.Listen, "Address of its own for /metrics; empty: the main port."] = ""

    @property
    def address(self) -> tuple[str, int] | None:
        """Host (without brackets) and port of `listen`; None: the main port."""
        host, _, port = self.listen.rpartition(":")
        return (host.strip("[]"), int(port)) if self.listen else None


class ImportSettings(Section, frozen=True, kw_only=True):
    """The limits of imports."""

    incident_bytes_max: Annotated[validators.Count, "Maximum size of an incident, in bytes."] = 67108864


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
    webhooks: WebhookSettings = WebhookSettings()
    logging: LoggingSettings = LoggingSettings()
    metrics: MetricsSettings = MetricsSettings()
    imports: ImportSettings = msgspec.field(name="import", default=ImportSettings())

    def check(self) -> None:
        """Raise SettingsError for values that cannot be combined."""
        self.tls.check()
        self.quotas.check()
        self.database.check(self.quotas)
        self.identity.check()
        self.webhooks.check()

    @property
    def certificates_folder(self) -> Path:
        """The folder of the certificates that `[tls] mode = "auto"` generates."""
        return Path(self.tls.folder) if self.tls.folder else self.database.folder
