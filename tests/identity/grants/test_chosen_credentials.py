"""Client ids and secrets that somebody has chosen: taken over from elsewhere, checked, and never shown."""

import json
import os
import sqlite3
import urllib.parse
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import done, on_a_terminal, run, served, shown_until
from vigie.core.client_secrets import check_chosen_secret, hash_secret
from vigie.core.directory import DirectoryError
from vigie.identity.tokens.access_tokens import USER_CLIENT_ID
from vigie.synthetic.sample_clients import READER

CLIENT_ID = "6f0c1d5e-2b0a-4c39-9a51-0d7c7e4b8a11"
SECRET = "Kq8Q~9fJx2.Lw0_vTn5-RbZc7YdHs1PgEuMa4oXi"
OF_CONTOSO = ("--tenant", "contoso")
READ_ALL = ("--permission", "Incident.Read.All")


@pytest.fixture(autouse=True)
def contoso(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working directory, with a tenant in its store and a secret in a file."""
    monkeypatch.chdir(tmp_path)
    done("tenant", "add", "contoso", "--domain", "contoso.example")
    Path("secret").touch(mode=0o600)
    Path("secret").write_text(f"{SECRET}\n", encoding="utf-8")


def test_an_application_moves_here_with_its_client_id_and_secret() -> None:
    ended = run(
        *("app", "add", "reader", *OF_CONTOSO, *READ_ALL, "--json"),
        *("--client-id", CLIENT_ID.upper(), "--client-secret-file", "secret"),
    )

    assert (ended.json["client_id"], ended.json["client_secret"]) == (CLIENT_ID, None)
    assert SECRET not in ended.out + ended.err
    with served("--port", "0") as (_, said):
        assert token_at(said["url"], CLIENT_ID, SECRET)["token_type"] == "Bearer"


@pytest.mark.parametrize("sent", [SECRET, f"{SECRET}\n", f"{SECRET}\r\n"])
def test_a_secret_comes_from_stdin_with_or_without_an_end_of_line(sent: str) -> None:
    ended = run("app", "add", "reader", *OF_CONTOSO, "--client-secret-file", "-", "--json", stdin=sent)

    assert ended.code == 0, ended.err
    assert ended.json["client_secret"] is None
    assert SECRET not in ended.out + ended.err
    assert is_a_secret_of("reader", SECRET)


def test_a_secret_is_rotated_to_the_chosen_one() -> None:
    done("app", "add", "reader", *OF_CONTOSO)

    rotated = done("app", "rotate-secret", "reader", *OF_CONTOSO, "--client-secret-file", "secret")

    assert rotated["client_secret"] is None
    assert is_a_secret_of("reader", SECRET)
    again = run("app", "rotate-secret", "reader", *OF_CONTOSO, "--client-secret-file", "secret")
    assert "has that secret already" in again.refusal


def test_a_chosen_secret_goes_with_a_chosen_id_or_a_new_one_and_a_chosen_id_with_a_new_secret() -> None:
    with_new_id = done("app", "add", "one", *OF_CONTOSO, "--client-secret-file", "secret")
    with_new_secret = done("app", "add", "two", *OF_CONTOSO, "--client-id", CLIENT_ID)
    public = done("app", "add", "three", *OF_CONTOSO, "--public-client", "--client-id", USABLE)

    assert len(with_new_id["client_id"]) == 36
    assert is_a_secret_of("two", with_new_secret["client_secret"])
    assert public["client_id"] == USABLE


USABLE = "0d7c7e4b-2b0a-4c39-9a51-6f0c1d5e8a11"


def test_a_client_id_is_one_applications_alone_whatever_the_tenant() -> None:
    done("tenant", "add", "fabrikam")
    done("app", "add", "theirs", "--tenant", "fabrikam", "--client-id", CLIENT_ID)

    ended = run("app", "add", "ours", *OF_CONTOSO, "--client-id", CLIENT_ID)

    assert (ended.code, ended.refusal) == (
        1,
        f"vigie: there is already an application with the client id {CLIENT_ID} in fabrikam",
    )
    assert done("app", "list", *OF_CONTOSO) == []


@pytest.mark.parametrize(
    ("client_id", "code", "reason"),
    [
        ("17", 1, "'17' is not a GUID such as"),
        ("", 1, "'' is not a GUID such as"),
        ("reader", 1, "'reader' is not a GUID such as"),
        ("00000000-0000-0000-0000-000000000000", 2, "is reserved"),
        (USER_CLIENT_ID, 2, "is reserved"),
        (READER.client_id, 2, "is reserved"),
        (USER_CLIENT_ID.upper().replace("-", ""), 2, "is reserved"),
    ],
)
def test_a_client_id_that_cannot_be_one_is_refused(client_id: str, code: int, reason: str) -> None:
    ended = run("app", "add", "reader", *OF_CONTOSO, "--client-id", client_id)

    assert (ended.code, reason in ended.refusal) == (code, True), ended.err
    assert done("app", "list", *OF_CONTOSO) == []


@pytest.mark.parametrize(
    "more",
    [("--public-client", "--client-secret-file", "secret"), ("--secret", "--client-secret-file", "secret")],
)
def test_a_chosen_secret_that_contradicts_the_rest_is_wrong_usage(more: tuple[str, ...]) -> None:
    assert run("app", "add", "reader", *OF_CONTOSO, *more).code == 2


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "secret: expected exactly one line"),
        (b"\n", "secret: expected exactly one line"),
        (f"{SECRET}\n{SECRET}\n".encode(), "secret: expected exactly one line"),
        (b"\xff" * 40, "secret: the client secret is not UTF-8"),
        (b"too short", "has 9 characters, and needs 32 to 512"),
        (b"x7" * 400, "has 800 characters, and needs 32 to 512"),
        (f"{SECRET[:20]} {SECRET[20:]}".encode(), "printable ASCII"),
        (f"{SECRET}\tx".encode(), "printable ASCII"),
        (f"{SECRET}é".encode(), "printable ASCII"),
        (READER.secret.encode(), "publicly known"),
        (b"a" * 40, "repeats itself"),
        (b"passwordpasswordpasswordpassword", "repeats itself"),
        (b"0123456789abcdef" * 3, "repeats itself"),
    ],
)
def test_a_secret_that_can_be_none_is_refused_and_not_shown(content: bytes, reason: str) -> None:
    Path("secret").write_bytes(content)

    ended = run("app", "add", "reader", *OF_CONTOSO, "--client-secret-file", "secret")

    assert (ended.code, reason in ended.refusal) == (1, True), ended.err
    shown = content.decode(errors="replace").strip()
    assert not shown or shown not in ended.err
    assert done("app", "list", *OF_CONTOSO) == []


@pytest.mark.parametrize("missing", ["nowhere", "."])
def test_a_file_that_cannot_be_read_is_named(missing: str) -> None:
    ended = run("app", "add", "reader", *OF_CONTOSO, "--client-secret-file", missing)

    assert (ended.code, ended.refusal.startswith(f"vigie: {missing}: ")) == (1, True)


def test_on_a_terminal_a_secret_is_asked_for_and_not_shown() -> None:
    command = ("app", "add", "reader", *OF_CONTOSO, "--client-secret-file", "-")
    with on_a_terminal(*command) as (process, terminal):
        shown = shown_until("Client secret: ", terminal)
        os.write(terminal, f"{SECRET}\n".encode())
        shown = shown_until("is now valid", terminal, shown)
        process.wait(timeout=30)

    assert (process.returncode, SECRET in shown) == (0, False)
    assert is_a_secret_of("reader", SECRET)


@pytest.mark.parametrize(
    "secret", [SECRET, "3b0f6c1a-52d7-4c0e-9c57-0a4e6f1d2b88", "9f86d081884c7d659a2feaa0c55ad015"]
)
def test_what_other_issuers_make_for_secrets_is_good_enough(secret: str) -> None:
    check_chosen_secret(secret)

    with pytest.raises(DirectoryError):
        check_chosen_secret(secret[:31])


# Permissions that bring nothing


@pytest.mark.parametrize(
    ("given", "instead"),
    [
        (("Incident.Read",), "--permission Incident.Read.All`"),
        (
            ("Incident.Read", "Incident.ReadWrite"),
            "--permission Incident.Read.All --permission Incident.ReadWrite.All`",
        ),
    ],
)
def test_permissions_that_an_application_gets_nothing_from_are_warned_of(
    given: tuple[str, ...], instead: str
) -> None:
    added = run("app", "add", "reader", *OF_CONTOSO, *permissions(given))
    changed = run("app", "set", "reader", *OF_CONTOSO, *permissions(given))

    for ended in (added, changed):
        assert ended.code == 0
        assert "client_credentials" in ended.err
        assert f"`vigie app set reader --tenant contoso {instead}" in ended.err


@pytest.mark.parametrize(
    "more",
    [
        ("--permission", "Incident.Read", "--public-client"),
        ("--permission", "Incident.Read", "--redirect-uri", "https://contoso.example/back"),
        ("--permission", "Incident.Read", *READ_ALL),
        READ_ALL,
        (),
    ],
)
def test_permissions_that_are_of_use_are_not_warned_of(more: tuple[str, ...]) -> None:
    assert "client_credentials" not in run("app", "add", "reader", *OF_CONTOSO, *more).err


# Helpers


def permissions(names: tuple[str, ...]) -> list[str]:
    return [part for name in names for part in ("--permission", name)]


def is_a_secret_of(app: str, secret: str) -> bool:
    """Whether its hash is kept, and nothing else of it."""
    with closing(sqlite3.connect(".vigie/vigie.sqlite3")) as connection:
        rows = connection.execute(
            "SELECT sha256 FROM client_secret JOIN application USING (tenant_id, client_id) WHERE name = ?",
            (app,),
        )
        return (hash_secret(secret),) in rows.fetchall()


def token_at(url: str, client_id: str, secret: str) -> dict[str, Any]:
    form = urllib.parse.urlencode(
        {
            "grant_type": "client_credentials",
            "client_id": client_id,
            "client_secret": secret,
            "scope": "https://api.security.microsoft.com/.default",
        }
    )
    with urllib.request.urlopen(
        f"{url}/contoso.example/oauth2/v2.0/token", form.encode(), timeout=10
    ) as answer:
        found: dict[str, Any] = json.load(answer)
        return found
