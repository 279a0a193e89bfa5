"""The TLS context of new connections, kept current with the files it comes from."""

import ssl
from collections.abc import Callable
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import NoReturn

import msgspec
from cryptography import x509

from vigie.certificates.issuing import to_datetime
from vigie.config.settings import SettingsError
from vigie.core.instants import Instant
from vigie.files.errors import KeyFileError
from vigie.files.trust import UntrustedFile, read_private, read_public
from vigie.observability.event_log import log

# Forward secrecy and authenticated encryption; TLS 1.3 has nothing else anyway.
_CIPHERS_OF_TLS_1_2 = "ECDHE+AESGCM:ECDHE+CHACHA20"


class CertificateFiles(msgspec.Struct, frozen=True, kw_only=True):
    """The files of a certificate with its chain and of its key; both may be the same file."""

    certificate: Path
    key: Path


class LiveContext:
    """The context of every new connection. `refresh` is safe to call on another thread than the server's."""

    context: ssl.SSLContext

    def __init__(self, files: CertificateFiles, renew: Callable[[Instant], None], now: Instant) -> None:
        """`renew` is called before each load and renews the files if needed. Raises SettingsError too."""
        self._files = files
        self._renew = renew
        self._loaded = b""
        self._warned: set[str] = set()
        renew(now)
        self._reload(now)

    def refresh(self, now: Instant) -> None:
        """Renew and reload the certificate. A failure is logged, and the former certificate is kept."""
        try:
            self._renew(now)
            self._reload(now)
        except (SettingsError, KeyFileError, UntrustedFile, OSError) as error:
            log.warning("certificate_not_loaded", reason=str(error))

    def _reload(self, now: Instant) -> None:
        content = _content_of(self._files)
        if content != self._loaded:
            # A context of its own each time: one that is in use would stay half changed if this failed.
            self.context = secure_context(self._files)
            self._loaded = content
            self._warned.clear()
            ends_at = _end_of(self._files.certificate).isoformat()
            log.info("certificate_loaded", file=str(self._files.certificate), ends=ends_at)
        self._warn(now)

    def _warn(self, now: Instant) -> None:
        """Log an expired certificate, once."""
        ends_at = _end_of(self._files.certificate)
        if ends_at <= to_datetime(now):
            self._warn_once("certificate_expired", file=self._files.certificate, ended=ends_at.isoformat())

    def _warn_once(self, event: str, **fields: object) -> None:
        if event not in self._warned:
            self._warned.add(event)
            log.warning(event, **fields)


def secure_context(files: CertificateFiles) -> ssl.SSLContext:
    """A server's context. Raises SettingsError or UntrustedFile, naming the file that cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS_OF_TLS_1_2)
    # Renegotiation lets a client make the server compute keys again and again.
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["http/1.1"])
    _end_of(files.certificate)
    _read(files.key, read_private, "key")
    try:
        context.load_cert_chain(files.certificate, files.key, password=lambda: _refuse_passphrase(files.key))
    except ssl.SSLError as error:
        raise SettingsError(_what_is_wrong(files, error)) from error
    except OSError as error:
        raise SettingsError(f"[tls] key: {files.key} cannot be read: {error.strerror}") from error
    return context


def _refuse_passphrase(key: Path) -> NoReturn:
    # Without this, OpenSSL would ask on the terminal.
    raise SettingsError(f"[tls] key: {key} is encrypted; Vigie needs a key without a passphrase")


def _what_is_wrong(files: CertificateFiles, error: ssl.SSLError) -> str:
    # Not every error of OpenSSL has a reason; those about the form of a key have none.
    reason: str | None = error.reason
    if reason == "KEY_VALUES_MISMATCH":
        return f"[tls] key: {files.key} is not the key of the certificate in {files.certificate}"
    if reason is None:
        return f"[tls] key: {files.key} contains no private key in PEM"
    return f"[tls] cert and key: {files.certificate} and {files.key} cannot be used: {reason}"


def _content_of(files: CertificateFiles) -> bytes:
    """A digest that changes whenever one of the files does."""
    certificate = _read(files.certificate, read_public, "cert")
    return sha256(certificate).digest() + sha256(_read(files.key, read_private, "key")).digest()


def _end_of(path: Path) -> datetime:
    """When the first certificate in a file expires. Raises SettingsError."""
    try:
        return x509.load_pem_x509_certificate(_read(path, read_public, "cert")).not_valid_after_utc
    except ValueError as error:
        raise SettingsError(f"[tls] cert: {path} contains no certificate in PEM") from error


def _read(path: Path, read: Callable[[Path], bytes], setting: str) -> bytes:
    try:
        return read(path)
    except OSError as error:
        raise SettingsError(f"[tls] {setting}: {path} cannot be read: {error.strerror}") from error
