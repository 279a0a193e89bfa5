"""Public keys of other issuers: which of them are used, and by which algorithms."""

import pytest

from tests.support.foreign_issuers import Pair, ec_pair, ed_pair, rsa_pair
from tests.support.house import to_base64
from vigie.identity.federation.jwk import ALGORITHMS, UnusableKey, read_key

PAIRS = (rsa_pair(), ec_pair(), ec_pair("ec-384", 384), ed_pair())
OF_RSA = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
SIGNED = b"header.payload"


def test_each_kind_of_key_has_its_algorithms_and_all_of_them_are_asymmetric() -> None:
    keys = [read_key(pair.jwk()) for pair in PAIRS]

    assert [set(key.algorithms) for key in keys] == [OF_RSA, {"ES256"}, {"ES384"}, {"EdDSA", "Ed25519"}]
    assert set().union(*(key.algorithms for key in keys)) == ALGORITHMS
    assert not any(name.startswith(("HS", "none")) for name in ALGORITHMS)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.kid)
def test_a_key_knows_its_own_signatures_and_no_others(pair: Pair) -> None:
    key = read_key(pair.jwk())
    signature = pair.sign(SIGNED, pair.algorithm)

    assert key.has_signed(pair.algorithm, signature, SIGNED)
    assert not key.has_signed(pair.algorithm, signature, SIGNED + b"x")
    assert not key.has_signed(pair.algorithm, signature[:-1], SIGNED)
    assert not any(key.has_signed(other, signature, SIGNED) for other in ALGORITHMS - set(key.algorithms))
    others = [read_key(other.jwk()) for other in PAIRS if other is not pair]
    assert not any(other.has_signed(name, signature, SIGNED) for other in others for name in ALGORITHMS)


@pytest.mark.parametrize("bits", [1024, 1536, 2047])
def test_a_weak_rsa_key_is_not_used(bits: int) -> None:
    with pytest.raises(UnusableKey, match=f"it has {bits} bits"):
        read_key(rsa_pair("weak", bits).jwk())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"n": to_base64(b"\xff" * 1025)}, "bits"),
        ({"n": to_base64(b"\xff" * 20_000)}, "bits"),
        ({"e": to_base64(b"\x01" + b"\0" * 4)}, "exponent"),
        ({"e": to_base64(b"\1")}, "damaged"),
        ({"e": to_base64(b"\2")}, "damaged"),
        ({"e": to_base64(b"")}, "damaged"),
        ({"n": ...}, "it has no n"),
        ({"n": 1}, "it has no n"),
        ({"n": "é"}, "damaged"),
        ({"n": "not base64!"}, "damaged"),
        ({"use": "enc"}, "not for signatures"),
        ({"use": None}, "not for signatures"),
        ({"key_ops": ["encrypt"]}, "not for signatures"),
        ({"key_ops": "verify"}, "not for signatures"),
        ({"key_ops": 1}, "not for signatures"),
        ({"alg": "ES256"}, "does not belong"),
        ({"alg": "HS256"}, "does not belong"),
        ({"alg": "none"}, "does not belong"),
        ({"alg": "RSA-OAEP"}, "does not belong"),
        ({"alg": ["RS256"]}, "does not belong"),
        ({"kty": "oct", "k": "c2VjcmV0"}, "kty is none of"),
        ({"kty": ["RSA"]}, "kty is none of"),
        ({"kty": ...}, "kty is none of"),
        ({"kty": "EC"}, "curve is none of"),
        ({"kty": "OKP"}, "not Ed25519"),
    ],
    ids=str,
)
def test_a_key_that_cannot_be_used_says_why(changes: dict[str, object], said: str) -> None:
    with pytest.raises(UnusableKey, match=said):
        read_key(rsa_pair().jwk(**changes))


@pytest.mark.parametrize(
    ("pair", "changes"),
    [
        (ec_pair(), {"x": to_base64(b"\1" * 32)}),
        (ec_pair(), {"x": to_base64(b"\0" * 32), "y": to_base64(b"\0" * 32)}),
        (ec_pair(), {"crv": "P-384"}),
        (ec_pair(), {"crv": "P-521"}),
        (ec_pair(), {"crv": "secp256k1"}),
        (ec_pair(), {"crv": ["P-256"]}),
        (ed_pair(), {"crv": "X25519"}),
        (ed_pair(), {"x": to_base64(b"\0" * 31)}),
        (ed_pair(), {"x": ...}),
    ],
)
def test_a_point_that_is_not_on_its_curve_is_no_key(pair: Pair, changes: dict[str, object]) -> None:
    with pytest.raises(UnusableKey):
        read_key(pair.jwk(**changes))


def test_a_key_whose_numbers_are_padded_is_used() -> None:
    jwk = rsa_pair().jwk()

    assert read_key({**jwk, "n": f"{jwk['n']}=="}) == read_key(jwk)


def test_keys_are_told_apart_by_what_they_check_and_not_by_their_names() -> None:
    key = read_key(rsa_pair().jwk())

    assert key == read_key(rsa_pair().jwk(kid="renamed", x5t="AAAA"))
    assert key != read_key(rsa_pair().jwk(alg="RS256"))
    assert key != read_key(rsa_pair("another").jwk())
