"""The set-up of HTTPS from the settings: the private certificate authority, or certificate files."""

import socket
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from vigie.certificates.files import CertificateFilesStore, Settled
from vigie.certificates.issuing import CertificateAuthority
from vigie.certificates.names import LOOPBACK_NAMES, listed, names_among
from vigie.config.settings import Settings, SettingsError
from vigie.config.validators import is_certifiable
from vigie.core.instants import Instant
from vigie.files.errors import KeyFileError
from vigie.observability.event_log import log
from vigie.runtime.tls_context import CertificateFiles, LiveContext

_RENEWAL = 'docs/tls.md, "Erlang and Elixir", says how to renew it'
_HOW = "docs/tls.md says how, for Python, Node, curl, PowerShell and others"


class LocalAuthority(msgspec.Struct, frozen=True, kw_only=True):
    """The certificate authority, as it is shown to people. `is_new` if no client can trust it yet."""

    file: Path
    names: str
    sha256: str
    is_new: bool
    set_aside: tuple[Path, ...]


class Secured(msgspec.Struct, frozen=True, kw_only=True):
    """The TLS context of a server. `authority` is None where the certificate comes from the settings."""

    live: LiveContext
    authority: LocalAuthority | None = None


def secure(settings: Settings, public_url: str, now: Instant) -> Secured:
    """Create or load the certificate. Raises SettingsError, KeyFileError, UntrustedFile or OSError."""
    if settings.tls.makes_its_own:
        return _by_private_authority(settings, public_url, now)
    files = CertificateFiles(certificate=Path(settings.tls.cert), key=Path(settings.tls.key))
    return Secured(live=LiveContext(files, lambda _: None, now))


def machine_name() -> frozenset[str]:
    """The host name of this machine, if it has one that a certificate can contain."""
    name = socket.gethostname()
    return names_among([name] if is_certifiable(name) else []) - LOOPBACK_NAMES


def _by_private_authority(settings: Settings, public_url: str, now: Instant) -> Secured:
    machine = machine_name()
    _check_names(settings.tls.names, machine)
    folder = settings.certificates_folder
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    store = CertificateFilesStore(folder)
    names = LOOPBACK_NAMES | names_among([*settings.tls.names, urlsplit(public_url).hostname or "localhost"])
    settled = store.settle(names, machine, now)
    authority = LocalAuthority(
        file=store.public_file,
        names=listed(settled.authority.names),
        sha256=settled.authority.sha256,
        is_new=settled.is_new,
        set_aside=settled.set_aside,
    )
    _report(authority, settled, machine)
    files = CertificateFiles(certificate=store.server_file, key=store.server_file)
    return Secured(
        live=LiveContext(files, partial(_renew, store, settled.authority), now), authority=authority
    )


def _check_names(names: Iterable[str], machine: frozenset[str]) -> None:
    """Raise SettingsError for a name without a dot, such as `com`: the authority could sign for all below it."""
    own = {*LOOPBACK_NAMES, *machine, *(name.partition(".")[0] for name in machine)}
    for name in names_among(names) - own:
        if "." not in name and ":" not in name:
            raise SettingsError(
                f"[tls] names: {name} has no dot, and a certificate authority for it could sign for every name "
                f"below .{name}; the only names allowed without a dot are {listed(machine | {'localhost'})}"
            )


def _renew(store: CertificateFilesStore, authority: CertificateAuthority, now: Instant) -> None:
    found = store.find_authority()
    if found is None or found.certificate != authority.certificate:
        # Another server on this database has other names; replacing each other would go on for ever.
        raise KeyFileError(
            f"{store.authority_file} is no longer the certificate authority of this server; restart it"
        )
    store.keep_current(authority, now)


def _report(authority: LocalAuthority, settled: Settled, machine: frozenset[str]) -> None:
    fields = {"file": str(authority.file), "names": authority.names, "sha256": authority.sha256}
    if authority.set_aside:
        kept = ", ".join(map(str, authority.set_aside))
        log.warning(
            "authority_replaced", **fields, kept=kept, todo=f"clients must trust the new file: {_HOW}"
        )
    elif authority.is_new:
        log.info("authority_created", **fields, todo=f"clients must trust this file: {_HOW}")
    if not settled.authority.suits_erlang:
        log.info("authority_without_erlang", file=fields["file"], todo=f"only for Erlang/OTP: {_RENEWAL}")
    if not machine <= settled.authority.names:
        log.warning("machine_renamed", machine=listed(machine), names=authority.names)
