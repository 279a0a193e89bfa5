"""Real handshakes in memory: OpenSSL on both sides, and nothing between them."""

import ssl
import warnings
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from vigie.certificates.issuing import CertificateAuthority, Certified, new_authority
from vigie.certificates.names import LOOPBACK_NAMES
from vigie.core.instants import Instant, instant_from_unix
from vigie.runtime.tls_context import CertificateFiles, secure_context

VENDOR = frozenset({"login.microsoftonline.com", "api.security.microsoft.com"})
NAMES = LOOPBACK_NAMES | VENDOR | {"10.1.2.3"}
MACHINE = frozenset({"watchtower"})


@cache
def an_authority() -> CertificateAuthority:
    """One for the names above, made an hour ago and shared by all tests that only look at it."""
    return new_authority(NAMES, MACHINE, days_from_now(-1 / 24))


def days_from_now(days: float) -> Instant:
    """A moment by the clock on the wall."""
    return instant_from_unix((datetime.now(UTC) + timedelta(days=days)).timestamp())


@cache
def a_key() -> RSAPrivateKey:
    """A server's key: making one takes longer than most tests."""
    return generate_private_key(65537, 2048)


def a_certificate(
    subject: str,
    *names: x509.GeneralName,
    signed_by: CertificateAuthority | None = None,
    days: float = 30,
    use: x509.ObjectIdentifier = ExtendedKeyUsageOID.SERVER_AUTH,
) -> Certified:
    """A certificate that says anything at all, signed by an authority or by itself."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    moment = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(signed_by.certificate.subject if signed_by else name)
        .public_key(a_key().public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment - timedelta(days=60))
        .not_valid_after(moment + timedelta(days=days))
        .add_extension(x509.ExtendedKeyUsage([use]), critical=False)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    certificate = builder.sign(signed_by.key if signed_by else a_key(), SHA256())
    return Certified(
        certificate=certificate, key=a_key(), chain=(signed_by.certificate,) if signed_by else ()
    )


def public_pem(certified: Certified) -> bytes:
    """A certificate and its chain, without the key."""
    return b"".join(each.public_bytes(Encoding.PEM) for each in (certified.certificate, *certified.chain))


def server_context(certified: Certified, folder: Path) -> ssl.SSLContext:
    """As the server makes it, out of a file."""
    file = folder / "server.pem"
    file.touch(mode=0o600)
    file.write_bytes(certified.to_pem())
    return secure_context(CertificateFiles(certificate=file, key=file))


def client_context(trusted: x509.Certificate | Path) -> ssl.SSLContext:
    """As clients have it who trust one certificate and nothing else, and are as strict as can be."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    if isinstance(trusted, Path):
        context.load_verify_locations(trusted)
    else:
        context.load_verify_locations(cadata=trusted.public_bytes(Encoding.PEM).decode())
    return context


def old_client_context(version: ssl.TLSVersion) -> ssl.SSLContext:
    """A client that speaks one version of TLS only, and puts up with anything."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = version
    return context


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> ssl.SSLObject:
    """Bring a handshake to its end and give the client's side. Raises ssl.SSLError of who refuses first."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    unfinished = list(sides)
    while unfinished:
        for side in list(unfinished):
            try:
                side.do_handshake()
                unfinished.remove(side)
            except ssl.SSLWantReadError:
                pass
    return sides[0]
