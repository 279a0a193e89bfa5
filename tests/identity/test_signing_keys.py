"""The signing keys: made once, readable by their owner alone, rotated without a token dying early."""

import asyncio
import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import pytest
from joserfc.jwk import RSAKey

from tests.support.house import a_key_ring
from vigie.core.instants import TICKS_PER_SECOND, Instant
from vigie.files.errors import KeyFileError
from vigie.files.trust import UntrustedFile
from vigie.identity.keys.key_ring import (
    TOKEN_LIFETIME_MAX_SECONDS,
    KeyRing,
    SigningKey,
    load_keys,
    load_or_create_keys,
    rotated,
    save_keys,
)
from vigie.identity.keys.key_store import FileKeyStore, live_keys

NOW = Instant(1_770_795_669 * TICKS_PER_SECOND)
SKEW_SECONDS = 300
LAST_TOKEN = (TOKEN_LIFETIME_MAX_SECONDS + SKEW_SECONDS) * TICKS_PER_SECOND


def in_words(ring: KeyRing) -> list[tuple[str, Instant | None, object]]:
    keys = (ring.current, *ring.retired)
    return [(key.kid, key.accepted_until, key.pair.private_jwk()) for key in keys]


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_keys_are_made_once(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"

    made = load_or_create_keys(path)

    assert in_words(load_or_create_keys(path)) == in_words(made)


def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "keys.json"

    ring = load_or_create_keys(path)
    modes = [mode_of(path)]
    save_keys(path, rotated(ring, NOW, SKEW_SECONDS))

    assert [*modes, mode_of(path), mode_of(path.parent)] == [0o600, 0o600, 0o700]


def test_nothing_is_left_beside_the_file(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"

    save_keys(path, load_or_create_keys(path))

    assert [each.name for each in tmp_path.iterdir()] == ["keys.json"]


def test_several_processes_that_start_at_once_take_the_same_keys(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"

    with ThreadPoolExecutor(4) as pool:
        rings = list(pool.map(lambda _: load_or_create_keys(path), range(4)))

    assert len({ring.current.kid for ring in rings}) == 1
    assert [each.name for each in tmp_path.iterdir()] == ["keys.json"]


def test_a_ring_survives_the_file(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    ring = rotated(rotated(a_key_ring(), NOW, SKEW_SECONDS), NOW, SKEW_SECONDS)

    save_keys(path, ring)

    assert in_words(load_keys(path)) == in_words(ring)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "null",
        '{"keys": []}',
        '{"keys": [{}]}',
        '{"keys": [{"kid": "a", "accepted_until": null, "key": {}}]}',
        '{"keys": [{"kid": "a", "accepted_until": null, "key": {"kty": "RSA", "n": "AQAB", "e": "x"}}]}',
        '{"keys": [{"kid": "a", "accepted_until": "tomorrow", "key": null}]}',
        "\x00" * 100,
        "[" * 100_000,
    ],
)
def test_another_file_is_refused_in_one_line_and_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys.json"
    path.touch(mode=0o600)
    path.write_text(text)

    with pytest.raises(KeyFileError, match=r"is not a Vigie key file; restore it, or remove it"):
        load_or_create_keys(path)

    assert path.read_text() == text


def test_a_file_that_is_not_text_is_refused_too(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.touch(mode=0o600)
    path.write_bytes(b"\xff\xfe\x00")

    with pytest.raises(KeyFileError):
        load_keys(path)


@pytest.mark.parametrize("kind", ["secret", "public half"])
def test_a_key_that_cannot_sign_is_refused(tmp_path: Path, kind: str) -> None:
    public = a_key_ring().current.pair.public_jwk()
    key = {"kty": "oct", "k": "c2VjcmV0"} if kind == "secret" else public
    path = tmp_path / "keys.json"
    path.touch(mode=0o600)
    path.write_text(json.dumps({"keys": [{"kid": "a", "accepted_until": None, "key": key}]}))

    with pytest.raises(KeyFileError):
        load_keys(path)


@pytest.mark.parametrize("member", ["n", "e", "d", "p", "q", "dp", "dq", "qi"])
def test_a_damaged_key_is_refused(tmp_path: Path, member: str) -> None:
    key = a_key_ring().current.pair.private_jwk()
    for place in (0, len(key[member]) // 2):
        path = tmp_path / f"keys-{place}.json"
        path.touch(mode=0o600)
        changed = "B" if key[member][place] == "A" else "A"
        damaged = {**key, member: key[member][:place] + changed + key[member][place + 1 :]}
        path.write_text(json.dumps({"keys": [{"kid": "a", "accepted_until": None, "key": damaged}]}))

        with pytest.raises(KeyFileError):
            load_keys(path)


def test_a_library_reads_the_same_key(tmp_path: Path) -> None:
    pair = a_key_ring().current.pair

    read = RSAKey.import_key({**pair.private_jwk()})

    assert read.as_dict(private=True) == pair.private_jwk()
    assert read.as_der(private=True) == pair.private_der()


# Rotation


def test_a_new_key_signs_and_the_old_one_is_accepted_until_its_last_token_is_dead() -> None:
    old = a_key_ring()

    new = rotated(old, NOW, SKEW_SECONDS)

    assert new.current.kid != old.current.kid
    assert new.find(old.current.kid, Instant(NOW + LAST_TOKEN - 1)) is not None
    assert new.find(old.current.kid, Instant(NOW + LAST_TOKEN)) is None


def test_a_second_rotation_does_not_lengthen_the_life_of_the_first_key() -> None:
    first = rotated(a_key_ring(), NOW, SKEW_SECONDS)
    later = Instant(NOW + 3600 * TICKS_PER_SECOND)

    second = rotated(first, later, SKEW_SECONDS)

    assert [key.accepted_until for key in second.retired] == [later + LAST_TOKEN, NOW + LAST_TOKEN]


def test_keys_that_are_accepted_no_more_leave_with_the_next_rotation() -> None:
    first = rotated(a_key_ring(), NOW, SKEW_SECONDS)

    second = rotated(first, Instant(NOW + LAST_TOKEN), SKEW_SECONDS)

    assert [key.kid for key in second.retired] == [first.current.kid]


def test_only_the_ids_of_accepted_keys_find_one() -> None:
    ring = a_key_ring()

    assert ring.find(ring.current.kid, NOW) == ring.current
    assert ring.find("", NOW) is None
    assert ring.find("None", NOW) is None


def test_a_retired_key_without_an_end_is_not_accepted() -> None:
    ring = KeyRing(
        current=a_key_ring().current, retired=(SigningKey(kid="old", pair=a_key_ring().current.pair),)
    )

    assert ring.find("old", NOW) is None


def test_the_public_half_says_nothing_of_the_private_one() -> None:
    published = a_key_ring().current.public()

    assert set(published) == {"kty", "n", "e", "kid", "x5t", "use", "alg"}


# A file that changes while a server runs


def test_a_changed_file_is_taken_over_when_it_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    save_keys(path, a_key_ring())
    file = asyncio.run(live_keys(FileKeyStore(path)))
    save_keys(path, rotated(file.ring, NOW, SKEW_SECONDS))

    asyncio.run(file.reread())

    assert in_words(file.ring) == in_words(load_keys(path))


def test_an_unchanged_file_leaves_the_ring_the_same_object(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    save_keys(path, a_key_ring())
    file = asyncio.run(live_keys(FileKeyStore(path)))
    ring = file.ring

    asyncio.run(file.reread())

    assert file.ring is ring


@pytest.mark.parametrize("damage", ["broken", "gone"])
def test_a_damaged_file_keeps_the_ring(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "keys.json"
    save_keys(path, a_key_ring())
    file = asyncio.run(live_keys(FileKeyStore(path)))
    path.write_text("{") if damage == "broken" else path.unlink()

    with pytest.raises((KeyFileError, OSError)):
        asyncio.run(file.reread())

    assert file.ring.current.kid == a_key_ring().current.kid


# Whose they are


@pytest.mark.parametrize(
    ("mode", "is_refused"), [(0o600, False), (0o640, False), (0o604, True), (0o602, True), (0o660, True)]
)
def test_keys_that_are_open_to_others_are_refused(tmp_path: Path, mode: int, is_refused: bool) -> None:
    path = tmp_path / "keys.json"
    load_or_create_keys(path)
    path.chmod(mode)

    with (
        pytest.raises(UntrustedFile, match=r"too permissive a mode.*run `chmod 600")
        if is_refused
        else nullcontext()
    ):
        load_keys(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_keys_that_somebody_else_has_made_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    load_or_create_keys(path)
    os.chown(path, 65534, -1)

    with pytest.raises(UntrustedFile, match=r"belongs to another user \(uid 65534\).*chown"):
        load_or_create_keys(path)


def test_a_link_to_keys_that_are_not_there_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.symlink_to(tmp_path / "gone.json")

    with pytest.raises(
        KeyFileError, match=r"is a link to .*gone\.json, which is not there; put the keys there"
    ):
        load_or_create_keys(path)
