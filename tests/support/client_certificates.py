"""Certificates of clients for tests, and what is signed with them by a library that is not ours."""

import base64
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Certified:
    """A key and its certificate."""

    key: PrivateKey
    certificate: x509.Certificate

    @property
    def pem(self) -> bytes:
        """The certificate, as administrators hand it over."""
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def private_pem(self) -> bytes:
        """The key, as clients keep it."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def sha1(self) -> bytes:
        """The older thumbprint."""
        return self.certificate.fingerprint(SHA1())

    @property
    def sha256(self) -> bytes:
        """The newer thumbprint."""
        return self.certificate.fingerprint(SHA256())

    @property
    def thumbprint(self) -> str:
        """What the commands call the certificate."""
        return self.sha256.hex().upper()

    def written_to(self, folder: Path) -> Path:
        """A file with the certificate."""
        file = folder / f"{self.thumbprint[:16]}.pem"
        file.write_bytes(self.pem)
        return file

    def sign(self, claims: Mapping[str, object], header: Mapping[str, object], algorithm: str) -> str:
        """An assertion; a header that is `...` is left out."""
        named = {"x5t": padded(self.sha1), **header}
        headers = {name: value for name, value in named.items() if value is not ...}
        return jwt.encode(dict(claims), self.key, algorithm=algorithm, headers=headers)


def padded(thumbprint: bytes) -> str:
    """As MSAL writes it in a header."""
    return base64.urlsafe_b64encode(thumbprint).decode()


@cache
def a_key(number: int = 0) -> rsa.RSAPrivateKey:
    """A good key, the same for the same number: making one takes longer than most tests."""
    return rsa.generate_private_key(65537, 2048)


def certified(
    key: PrivateKey | None = None,
    *,
    valid_from: datetime | None = None,
    lasts: timedelta = timedelta(days=365),
) -> Certified:
    """A self-signed certificate that nobody has seen before, valid since an hour unless times are given."""
    key = key or a_key()
    start = valid_from or datetime.now(UTC) - timedelta(hours=1)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"client {uuid.uuid4()}")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + lasts)
    )
    return Certified(key=key, certificate=builder.sign(key, SHA256()))


def claims_for(client_id: str, audience: str, now_seconds: float, **changes: Any) -> dict[str, Any]:
    """The claims of a good assertion, as MSAL makes them; `...` leaves one out."""
    claims = {
        "aud": audience,
        "iss": client_id,
        "sub": client_id,
        "exp": now_seconds + 600.25,
        "iat": now_seconds,
        "jti": str(uuid.uuid4()),
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not ...}
