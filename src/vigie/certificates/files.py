"""The files of the private certificate authority and of the server certificate, in one folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from vigie.certificates.issuing import (
    CertificateAuthority,
    Certified,
    authority_from_pem,
    certified_from_pem,
    is_due,
    is_from,
    issue,
    new_authority,
)
from vigie.certificates.names import listed
from vigie.core.instants import Instant
from vigie.files.errors import KeyFileError
from vigie.files.trust import read_private, read_public
from vigie.files.writing import new_file, sweep
from vigie.observability.event_log import log

AUTHORITY_FILE_NAME = "ca-key.pem"
PUBLIC_FILE_NAME = "ca.pem"
SERVER_FILE_NAME = "server.pem"

_SECRET, _PUBLIC = 0o600, 0o644


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """The authority in use. `is_new` if clients cannot know it yet; `set_aside` are the files of the one before."""

    authority: CertificateAuthority
    is_new: bool = False
    set_aside: tuple[Path, ...] = ()


class CertificateFilesStore:
    """The files of one folder.

    Several processes may share it: one that changes something holds a lock, and what is read needs none,
    because files appear whole or not at all.
    """

    def __init__(self, folder: Path) -> None:
        self.authority_file = folder / AUTHORITY_FILE_NAME
        self.public_file = folder / PUBLIC_FILE_NAME
        self.server_file = folder / SERVER_FILE_NAME

    def settle(self, names: frozenset[str], machine: frozenset[str], now: Instant) -> Settled:
        """The authority for these names and for this machine, created if there is none.

        The names of an authority are fixed, so other names need a new authority, which every client has to
        trust; the former files are kept under other names. A changed host name alone is no reason for that.
        Raises KeyFileError or UntrustedFile.
        """
        sweep(self.authority_file.parent)
        found = self.find_authority()
        if found is not None and _is_still_good(found, names, now) and self._is_published(found):
            return Settled(authority=found)
        with self._lock():
            # Another process may have created it meanwhile.
            return self._settle_locked(names, machine, now)

    def _settle_locked(self, names: frozenset[str], machine: frozenset[str], now: Instant) -> Settled:
        found = self.find_authority()
        if found is not None and _is_still_good(found, names, now):
            _write(self.public_file, found.root_pem(), _PUBLIC)
            return Settled(authority=found)
        authority = new_authority(names, machine, now)
        set_aside = self._set_aside()
        _write(self.authority_file, authority.to_pem(), _SECRET)
        _write(self.public_file, authority.root_pem(), _PUBLIC)
        return Settled(authority=authority, is_new=True, set_aside=set_aside)

    def find_authority(self) -> CertificateAuthority | None:
        """The authority in the file. Raises KeyFileError if the file holds something else."""
        try:
            return authority_from_pem(read_private(self.authority_file))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise KeyFileError(
                f"{self.authority_file} is not a certificate authority of Vigie; restore the file, or remove it to "
                "create a new authority, which all clients must then trust"
            ) from error

    def keep_current(self, authority: CertificateAuthority, now: Instant) -> None:
        """Renew the server certificate of this authority, if there is none or it expires soon.

        Raises OSError if it cannot be written and there is no valid one.
        """
        found = self._find_server_certificate(authority)
        if found is not None and not is_due(found, authority, now):
            return
        try:
            with self._lock():
                self._renew_locked(authority, now)
        except OSError as error:
            if found is None or not found.is_valid(now):
                raise
            log.warning("certificate_not_created", reason=str(error), ends=found.ends_at.isoformat())

    def _renew_locked(self, authority: CertificateAuthority, now: Instant) -> None:
        found = self._find_server_certificate(authority)
        if found is not None and not is_due(found, authority, now):
            return
        made = issue(authority, now)
        _write(self.server_file, made.to_pem(), _SECRET)
        names, ends = listed(authority.names), made.ends_at.isoformat()
        log.info("certificate_created", file=str(self.server_file), names=names, ends=ends)

    def _find_server_certificate(self, authority: CertificateAuthority) -> Certified | None:
        """The certificate in the file; None also for a damaged one or one of another authority."""
        try:
            found = certified_from_pem(read_private(self.server_file))
        except (FileNotFoundError, ValueError):
            return None
        return found if is_from(authority, found) else None

    def _is_published(self, authority: CertificateAuthority) -> bool:
        try:
            return read_public(self.public_file) == authority.root_pem()
        except FileNotFoundError:
            return False

    def _set_aside(self) -> tuple[Path, ...]:
        """Link the files of the present authority under a second name, so that it can be restored."""
        asides = []
        for file in (self.authority_file, self.public_file):
            if file.exists():
                aside = file.with_name(f"{file.name}.{_mark_of(file)}")
                aside.unlink(missing_ok=True)
                os.link(file, aside)
                asides.append(aside)
        return tuple(asides)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        path = self.authority_file.with_name(f"{self.authority_file.name}.lock")
        with os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY, _SECRET), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _is_still_good(authority: CertificateAuthority, names: frozenset[str], now: Instant) -> bool:
    # Not `is_valid`: a clock that is behind for a while must not replace the authority.
    return authority.names == names | authority.machine and not authority.is_over(now)


def _mark_of(file: Path) -> str:
    """The first eight digits of the fingerprint of the root certificate in a file."""
    try:
        root = x509.load_pem_x509_certificates(file.read_bytes())[-1]
    except ValueError as error:
        raise KeyFileError(f"{file} is not a certificate; move it to another folder") from error
    return root.fingerprint(SHA256()).hex()[:8]


def _write(path: Path, content: bytes, mode: int) -> None:
    with new_file(path, replaces=True) as part:
        # The umask would remove bits of 0644.
        part.chmod(mode)
        part.write_bytes(content)
