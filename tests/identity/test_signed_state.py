"""Signed state: verified only for its purpose, for its browser, and in time."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tests.support.house import a_key_ring
from vigie.core.instants import TICKS_PER_SECOND, Instant
from vigie.identity.keys.key_ring import KeyRing, load_keys, new_key, rotated, save_keys
from vigie.identity.sign_in.signed_state import StateSigner

NOW = Instant(17_000_000_000_000_000)
LATER = Instant(NOW + 60 * TICKS_PER_SECOND)


def a_signer(ring: KeyRing | None = None) -> StateSigner:
    return StateSigner(lambda: ring or a_key_ring())


@given(content=some.binary(), purpose=some.text(), bound_to=some.text())
def test_what_was_signed_comes_back(content: bytes, purpose: str, bound_to: str) -> None:
    text = a_signer().sign(purpose, bound_to, content, expires_at=LATER)

    assert a_signer().verify(purpose, bound_to, text, NOW) == content


def test_it_opens_for_no_other_purpose_and_no_other_browser() -> None:
    text = a_signer().sign("consent", "browser", b"content", expires_at=LATER)

    assert a_signer().verify("password", "browser", text, NOW) is None
    assert a_signer().verify("consent", "browser2", text, NOW) is None
    assert a_signer().verify("consent", "", text, NOW) is None


def test_it_opens_until_it_expires() -> None:
    text = a_signer().sign("consent", "browser", b"content", expires_at=LATER)

    assert a_signer().verify("consent", "browser", text, Instant(LATER - 1)) == b"content"
    assert a_signer().verify("consent", "browser", text, LATER) is None


def test_no_letter_of_it_can_be_changed_added_or_left_out() -> None:
    text = a_signer().sign("consent", "browser", b"who: ana", expires_at=LATER)

    others = {
        changed
        for at in range(len(text))
        for changed in (
            text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :],
            text[:at] + text[at + 1 :],
            text[:at] + "A" + text[at:],
        )
    } - {text}

    assert {a_signer().verify("consent", "browser", each, NOW) for each in others} <= {None, b"who: ana"}
    # Only the bits that base64 does not use may differ.
    verified = [each for each in others if a_signer().verify("consent", "browser", each, NOW)]
    assert all(len(each) == len(text) for each in verified)
    assert len(verified) <= 2


@pytest.mark.parametrize(
    "text", ["", ".", "a", "a.b", "é.é", "A" * 1000, "....", "\ud800.\ud800", "AAAA.\x00"]
)
def test_whatever_else_is_brought_opens_nothing(text: str) -> None:
    assert a_signer().verify("consent", "browser", text, NOW) is None


def test_nothing_moves_from_the_binding_into_the_content() -> None:
    text = a_signer().sign("consent", "ab", b"c", expires_at=LATER)

    assert a_signer().verify("consent", "a", text, NOW) is None


def test_a_second_server_of_the_installation_opens_it(tmp_path: Path) -> None:
    save_keys(tmp_path / "keys.json", a_key_ring())
    text = a_signer().sign("consent", "browser", b"content", expires_at=LATER)

    assert a_signer(load_keys(tmp_path / "keys.json")).verify("consent", "browser", text, NOW) == b"content"


def test_another_installation_does_not() -> None:
    text = a_signer().sign("consent", "browser", b"content", expires_at=LATER)

    assert a_signer(KeyRing(current=new_key())).verify("consent", "browser", text, NOW) is None


def test_a_key_that_was_rotated_away_still_verifies_what_it_signed_unless_it_is_disowned() -> None:
    text = a_signer().sign("consent", "browser", b"content", expires_at=LATER)
    ring = rotated(a_key_ring(), NOW, 300)

    assert a_signer(ring).verify("consent", "browser", text, NOW) == b"content"
    assert a_signer(KeyRing(current=ring.current)).verify("consent", "browser", text, NOW) is None
