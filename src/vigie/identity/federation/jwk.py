"""Public keys of other issuers: which of them are used, and whether one has signed a token.

The algorithm has to fit the kind of the key, so that no token can choose how it is checked: RFC 8725, 3.1.
joserfc reads the keys and checks the signatures; what it would accept and Vigie does not is refused before.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import UnsupportedAlgorithm
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.util import base64_to_int

if TYPE_CHECKING:
    from joserfc.jwa import JWSAlgModel

RSA_BITS_MIN = 2048
RSA_BITS_MAX = 8192
"""The largest RSA modulus; checking a signature by a larger one costs more than it adds."""

_RSA_EXPONENT_BITS_MAX = 32

_RSA_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_EC_ALGORITHMS = {"P-256": "ES256", "P-384": "ES384"}
# RFC 9864 names EdDSA with this curve Ed25519.
_OKP_ALGORITHMS = ("EdDSA", "Ed25519")

ALGORITHMS = frozenset({*_RSA_ALGORITHMS, *_EC_ALGORITHMS.values(), *_OKP_ALGORITHMS})
"""The algorithms that tokens of other issuers may be signed by. None of them is symmetric."""


class UnusableKey(Exception):
    """A key that no token is checked with; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationKey:
    """A public key and the algorithms it may be used with. Two are equal when they check the same.

    `issuer` is whose tokens it is for where its set says so: the keys that Entra ID publishes for all tenants do.
    """

    thumbprint: str
    algorithms: frozenset[str]
    issuer: str | None = None
    key: RSAKey | ECKey | OKPKey = field(compare=False, repr=False)

    def has_signed(self, algorithm: str, signature: bytes, signed: bytes) -> bool:
        """Whether the signature is this key's, by an algorithm that it may be used with."""
        return algorithm in self.algorithms and _algorithms()[algorithm].verify(signed, signature, self.key)


def read_key(jwk: Mapping[str, Any]) -> VerificationKey:
    """A key of a JSON Web Key Set. Raises UnusableKey."""
    operations = jwk.get("key_ops", ["verify"])
    if jwk.get("use", "sig") != "sig" or not isinstance(operations, list) or "verify" not in operations:
        raise UnusableKey("it is not for signatures")
    try:
        key, algorithms = _read(jwk)
    except (JoseError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UnusableKey("it is damaged") from error
    if (algorithm := jwk.get("alg")) is not None:
        if not isinstance(algorithm, str) or algorithm not in algorithms:
            raise UnusableKey("its alg does not belong to its kind")
        algorithms = (algorithm,)
    issuer = jwk.get("issuer")
    return VerificationKey(
        thumbprint=key.thumbprint(),
        algorithms=frozenset(algorithms),
        issuer=issuer if isinstance(issuer, str) else None,
        key=key,
    )


def _read(jwk: Mapping[str, Any]) -> tuple[RSAKey | ECKey | OKPKey, tuple[str, ...]]:
    kind, curve = jwk.get("kty"), str(jwk.get("crv"))
    if kind == "RSA":
        numbers = _members(jwk, "kty", "n", "e")
        _check_rsa_size(numbers)
        return RSAKey.import_key(numbers), _RSA_ALGORITHMS
    if kind == "EC":
        if curve not in _EC_ALGORITHMS:
            raise UnusableKey("its curve is none of P-256 and P-384")
        return ECKey.import_key(_members(jwk, "kty", "crv", "x", "y")), (_EC_ALGORITHMS[curve],)
    if kind == "OKP":
        if curve != "Ed25519":
            raise UnusableKey("its curve is not Ed25519")
        return OKPKey.import_key(_members(jwk, "kty", "crv", "x")), _OKP_ALGORITHMS
    raise UnusableKey("its kty is none of RSA, EC and OKP")


def _members(jwk: Mapping[str, Any], *names: str) -> dict[str, str | list[str]]:
    """The members that the key consists of. Padding, which RFC 7518 does not have, is taken off."""
    for name in names:
        if not isinstance(jwk.get(name), str):
            raise UnusableKey(f"it has no {name}")
    return {name: jwk[name].rstrip("=") for name in names}


def _check_rsa_size(numbers: Mapping[str, Any]) -> None:
    """Before the key is made: joserfc only warns of weak ones, and large ones take long."""
    modulus_bits, exponent_bits = (base64_to_int(numbers[name]).bit_length() for name in ("n", "e"))
    if not RSA_BITS_MIN <= modulus_bits <= RSA_BITS_MAX:
        raise UnusableKey(f"it has {modulus_bits} bits; {RSA_BITS_MIN} to {RSA_BITS_MAX} are taken")
    if exponent_bits > _RSA_EXPONENT_BITS_MAX:
        raise UnusableKey("its exponent is too large")


@cache
def _algorithms() -> Mapping[str, "JWSAlgModel"]:
    # Here, because it takes 3 ms to load, and only where other issuers are trusted.
    from joserfc.jwa import JWS_ALGORITHMS

    return {each.name: each for each in JWS_ALGORITHMS if each.name in ALGORITHMS}
