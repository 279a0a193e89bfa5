"""Certificates of applications, as administrators bring them: what is kept of one, and which are refused."""

from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from vigie.core.directory import ClientCertificate, DirectoryError
from vigie.core.instants import Instant, format_instant, instant_from_unix

KEY_BITS_MIN = 2048

_FILE_BYTES_MAX = 64 * 1024
_PRIVATE_KEY = b"PRIVATE KEY-----"


def read_certificate(file: Path, now: Instant) -> ClientCertificate:
    """The one certificate in a PEM file. Raises DirectoryError, saying what to do, and OSError."""
    certificate = _certificate_in(file)
    _check_key(file, certificate)
    kept = ClientCertificate(
        sha256=certificate.fingerprint(SHA256()),
        # What most clients still name a certificate by; nothing is proven with it.
        sha1=certificate.fingerprint(SHA1()),  # noqa: S303
        der=certificate.public_bytes(Encoding.DER),
        valid_from=instant_from_unix(certificate.not_valid_before_utc.timestamp()),
        expires_at=instant_from_unix(certificate.not_valid_after_utc.timestamp()),
    )
    if kept.expires_at <= now:
        raise DirectoryError(f"the certificate in {file} expired at {format_instant(kept.expires_at)}")
    return kept


def key_of(certificate: ClientCertificate) -> RSAPublicKey:
    """The key of a certificate that is kept."""
    key = x509.load_der_x509_certificate(certificate.der).public_key()
    if not isinstance(key, RSAPublicKey):
        raise TypeError("a certificate without an RSA key was kept")
    return key


def _certificate_in(file: Path) -> x509.Certificate:
    with file.open("rb") as opened:
        pem = opened.read(_FILE_BYTES_MAX)
    if _PRIVATE_KEY in pem:
        raise DirectoryError(
            f"{file} holds a private key, which belongs to the application alone; "
            f"`openssl x509 -in {file} -out certificate.pem` writes the certificate without it"
        )
    try:
        certificates = x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise DirectoryError(
            f"{file} is not a certificate in PEM; "
            f"`openssl x509 -inform DER -in {file} -out certificate.pem` makes one of a DER file"
        ) from error
    if len(certificates) > 1:
        raise DirectoryError(f"{file} holds {len(certificates)} certificates; give one to a file")
    return certificates[0]


def _check_key(file: Path, certificate: x509.Certificate) -> None:
    try:
        key = certificate.public_key()
    except (UnsupportedAlgorithm, ValueError) as error:
        raise DirectoryError(f"the key of the certificate in {file} cannot be read: {error}") from error
    if not isinstance(key, RSAPublicKey) or key.key_size < KEY_BITS_MIN:
        raise DirectoryError(
            f"the certificate in {file} has no RSA key of at least {KEY_BITS_MIN} bits; "
            "assertions are signed with RS256 or PS256"
        )
