"""RSA key pairs, and how they are written as JSON Web Keys: RFC 7518, section 6.3."""

import base64
from collections.abc import Mapping

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import (
    RSAPrivateKey,
    RSAPrivateNumbers,
    RSAPublicKey,
    RSAPublicNumbers,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256

_BITS, _EXPONENT = 2048, 65_537
_PADDING, _HASH = PKCS1v15(), SHA256()


class RsaPair(msgspec.Struct, frozen=True, kw_only=True):
    """Both halves of a key, which signs by RS256."""

    private_key: RSAPrivateKey
    public_key: RSAPublicKey

    def sign(self, signed: bytes) -> bytes:
        """The signature of bytes."""
        return self.private_key.sign(signed, _PADDING, _HASH)

    def has_signed(self, signature: bytes, signed: bytes) -> bool:
        """Whether this is the signature of bytes."""
        try:
            self.public_key.verify(signature, signed, _PADDING, _HASH)
        except InvalidSignature:
            return False
        return True

    def public_jwk(self) -> dict[str, str]:
        """The public half."""
        numbers = self.public_key.public_numbers()
        return {"kty": "RSA", "n": _text_of(numbers.n), "e": _text_of(numbers.e)}

    def private_jwk(self) -> dict[str, str]:
        """Both halves."""
        numbers = self.private_key.private_numbers()
        return {
            **self.public_jwk(),
            "d": _text_of(numbers.d),
            "p": _text_of(numbers.p),
            "q": _text_of(numbers.q),
            "dp": _text_of(numbers.dmp1),
            "dq": _text_of(numbers.dmq1),
            "qi": _text_of(numbers.iqmp),
        }

    def private_der(self) -> bytes:
        """Both halves, as PKCS #8 has them."""
        # Here, because it takes 10 ms to load, and only forms of the sign-in are sealed with a key derived from it.
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        return self.private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def new_pair() -> RsaPair:
    """A fresh pair."""
    private = generate_private_key(_EXPONENT, _BITS)
    return RsaPair(private_key=private, public_key=private.public_key())


def read_pair(jwk: Mapping[str, str]) -> RsaPair:
    """The pair that `private_jwk` wrote. Raises ValueError, LookupError or TypeError for anything else."""
    if jwk["kty"] != "RSA":
        raise ValueError("no RSA key")
    public = RSAPublicNumbers(n=_number(jwk["n"]), e=_number(jwk["e"]))
    private = RSAPrivateNumbers(
        p=_number(jwk["p"]),
        q=_number(jwk["q"]),
        d=_number(jwk["d"]),
        dmp1=_number(jwk["dp"]),
        dmq1=_number(jwk["dq"]),
        iqmp=_number(jwk["qi"]),
        public_numbers=public,
    )
    _require_consistent(private)
    return RsaPair(
        # Without the library's own check: whether p and q are primes takes 65 ms to see at every start, and
        # they are this installation's own. Damage has been noticed by then.
        private_key=private.private_key(unsafe_skip_rsa_key_validation=True),
        public_key=public.public_key(),
    )


def _require_consistent(key: RSAPrivateNumbers) -> None:
    """Raise ValueError unless each number follows from the two primes and the exponent."""
    e, p_minus_1, q_minus_1 = key.public_numbers.e, key.p - 1, key.q - 1
    if not (
        min(p_minus_1, q_minus_1) > 1
        and key.p * key.q == key.public_numbers.n
        and key.d * e % p_minus_1 == 1
        and key.d * e % q_minus_1 == 1
        and key.dmp1 == key.d % p_minus_1
        and key.dmq1 == key.d % q_minus_1
        and key.iqmp * key.q % key.p == 1
    ):
        raise ValueError("a damaged RSA key")


def _number(text: str) -> int:
    return int.from_bytes(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))


def _text_of(number: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes((number.bit_length() + 7) // 8)).rstrip(b"=").decode()
