"""Public keys of other issuers, and whether one of them has signed a token.

The algorithm has to fit the kind of the key, so that no token can choose how it is checked: RFC 8725, 3.1.
"""

import base64
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    SECP384R1,
    EllipticCurve,
    EllipticCurvePublicKey,
    EllipticCurvePublicNumbers,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm

RSA_BITS_MIN = 2048
RSA_BITS_MAX = 8192
"""What a larger one costs to check is not worth what it adds."""

_RSA_EXPONENT_BITS_MAX = 32

Check = Callable[[bytes, bytes], None]
"""Takes a signature and what it is of; raises InvalidSignature."""


class UnusableKey(Exception):
    """A key that signs no tokens that we could check; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationKey:
    """A public key: by which algorithms it may be used, and how. `fingerprint` tells keys apart.

    `issuer` is whose tokens it is for where its set says so: the keys that Entra ID publishes for all tenants do.
    """

    fingerprint: bytes
    checks: Mapping[str, Check]
    issuer: str | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VerificationKey) and self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def has_signed(self, algorithm: str, signature: bytes, signed: bytes) -> bool:
        """Whether the signature is this key's, by an algorithm that it may be used with."""
        try:
            self.checks[algorithm](signature, signed)
        except (KeyError, InvalidSignature):
            return False
        return True


def read_key(jwk: Mapping[str, Any]) -> VerificationKey:
    """A key of a JSON Web Key Set. Raises UnusableKey."""
    operations = jwk.get("key_ops", ["verify"])
    if jwk.get("use", "sig") != "sig" or not isinstance(operations, list) or "verify" not in operations:
        raise UnusableKey("it is not for signatures")
    kind = jwk.get("kty")
    read = _READERS.get(kind) if isinstance(kind, str) else None
    if read is None:
        raise UnusableKey("its kty is none of RSA, EC and OKP")
    try:
        checks, parts = read(jwk)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UnusableKey("it is damaged") from error
    if (algorithm := jwk.get("alg")) is not None:
        if not isinstance(algorithm, str) or algorithm not in checks:
            raise UnusableKey("its alg does not belong to its kind")
        checks = {algorithm: checks[algorithm]}
    issuer = jwk.get("issuer")
    return VerificationKey(
        fingerprint=hashlib.sha256(repr((kind, parts, sorted(checks), issuer)).encode()).digest(),
        checks=checks,
        issuer=issuer if isinstance(issuer, str) else None,
    )


_Read = tuple[Mapping[str, Check], tuple[bytes, ...]]


def _read_rsa(jwk: Mapping[str, Any]) -> _Read:
    modulus, exponent = _bytes(jwk, "n"), _bytes(jwk, "e")
    n, e = int.from_bytes(modulus), int.from_bytes(exponent)
    if not RSA_BITS_MIN <= n.bit_length() <= RSA_BITS_MAX:
        raise UnusableKey(f"it has {n.bit_length()} bits; {RSA_BITS_MIN} to {RSA_BITS_MAX} are taken")
    if e.bit_length() > _RSA_EXPONENT_BITS_MAX:
        raise UnusableKey("its exponent is too large")
    key = RSAPublicNumbers(e, n).public_key()
    checks = {
        **{f"RS{each.digest_size * 8}": _by_pkcs1(key, each) for each in _HASHES},
        **{f"PS{each.digest_size * 8}": _by_pss(key, each) for each in _HASHES},
    }
    return checks, (modulus, exponent)


def _read_ec(jwk: Mapping[str, Any]) -> _Read:
    name = str(jwk.get("crv"))
    if name not in _CURVES:
        raise UnusableKey("its curve is none of P-256 and P-384")
    algorithm, curve, hashed = _CURVES[name]
    x, y = _bytes(jwk, "x"), _bytes(jwk, "y")
    key = EllipticCurvePublicNumbers(int.from_bytes(x), int.from_bytes(y), curve).public_key()
    return {algorithm: _by_ecdsa(key, hashed)}, (x, y)


def _read_okp(jwk: Mapping[str, Any]) -> _Read:
    if jwk.get("crv") != "Ed25519":
        raise UnusableKey("its curve is not Ed25519")
    x = _bytes(jwk, "x")
    check: Check = Ed25519PublicKey.from_public_bytes(x).verify
    # RFC 9864 gives the first of its names anew.
    return {"Ed25519": check, "EdDSA": check}, (x,)


def _bytes(jwk: Mapping[str, Any], name: str) -> bytes:
    value = jwk.get(name)
    if not isinstance(value, str):
        raise UnusableKey(f"it has no {name}")
    return base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True)


def _by_pkcs1(key: RSAPublicKey, hashed: HashAlgorithm) -> Check:
    return lambda signature, signed: key.verify(signature, signed, PKCS1v15(), hashed)


def _by_pss(key: RSAPublicKey, hashed: HashAlgorithm) -> Check:
    # RFC 7518, 3.5: the salt is as long as the hash.
    padding = PSS(mgf=MGF1(hashed), salt_length=hashed.digest_size)
    return lambda signature, signed: key.verify(signature, signed, padding, hashed)


def _by_ecdsa(key: EllipticCurvePublicKey, hashed: HashAlgorithm) -> Check:
    size = (key.curve.key_size + 7) // 8

    def check(signature: bytes, signed: bytes) -> None:
        # RFC 7518, 3.4: both numbers one behind the other, each as long as the curve's.
        if len(signature) != 2 * size:
            raise InvalidSignature
        r, s = int.from_bytes(signature[:size]), int.from_bytes(signature[size:])
        key.verify(encode_dss_signature(r, s), signed, ECDSA(hashed))

    return check


_HASHES: tuple[HashAlgorithm, ...] = (SHA256(), SHA384(), SHA512())
_CURVES: Mapping[str, tuple[str, EllipticCurve, HashAlgorithm]] = {
    "P-256": ("ES256", SECP256R1(), SHA256()),
    "P-384": ("ES384", SECP384R1(), SHA384()),
}
_READERS: Mapping[str, Callable[[Mapping[str, Any]], _Read]] = {
    "RSA": _read_rsa,
    "EC": _read_ec,
    "OKP": _read_okp,
}

ALGORITHMS = frozenset(
    {*(f"{kind}{each.digest_size * 8}" for kind in ("RS", "PS") for each in _HASHES)}
    | {algorithm for algorithm, _, _ in _CURVES.values()}
    | {"Ed25519", "EdDSA"}
)
"""All that tokens of other issuers may be signed by. None of them is symmetric."""
