"""The commands of webhooks: what is refused, with which words, and what is kept of what they add."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.commands import done, run

OF_CONTOSO = ("--tenant", "contoso")
URL = "https://soar.example/vigie"


@pytest.fixture(autouse=True)
def contoso(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done("tenant", "add", "contoso")


def test_a_webhook_is_added_with_a_secret_that_is_shown_once() -> None:
    added = done("webhook", "add", URL, *OF_CONTOSO, "--kind", "CREATED", "--severity", "high")
    (listed,) = done("webhook", "list", *OF_CONTOSO)

    assert added["secret"].startswith("whsec_")
    assert added["name"] == "soar.example"
    assert (added["kinds"], added["severities"]) == (["created"], ["High"])
    assert {name: value for name, value in added.items() if name != "secret"}.items() <= listed.items()
    assert listed == {
        **listed,
        "state": "active",
        "position": 0,
        "behind": 0,
        "failures": 0,
        "last_delivery": None,
        "failing_since": None,
        "next_attempt": None,
        "last_error": None,
        "missed_changes": None,
    }
    assert "secret" not in listed


def test_the_secret_is_nowhere_in_the_database_and_its_key_is_for_nobody_else() -> None:
    secret = done("webhook", "add", URL, *OF_CONTOSO)["secret"]

    database, key = Path(".vigie/vigie.sqlite3"), Path(".vigie/webhook-secrets.key")
    with closing(sqlite3.connect(database)) as connection:
        dump = "\n".join(connection.iterdump())
    assert secret.removeprefix("whsec_") not in dump
    assert "vigie1." in dump
    assert key.stat().st_mode & 0o777 == 0o600


def test_people_are_told_that_nothing_is_left_out() -> None:
    said = run("webhook", "add", URL, *OF_CONTOSO, "--severity", "High").out

    assert [line.split()[1] for line in said.splitlines() if line.startswith(("kinds", "severities"))] == [
        "all",
        "High",
    ]


def test_a_second_webhook_uses_the_same_key() -> None:
    key = Path(".vigie/webhook-secrets.key")
    done("webhook", "add", URL, *OF_CONTOSO)
    before = key.read_bytes()

    done("webhook", "add", URL, *OF_CONTOSO, "--name", "second")

    assert key.read_bytes() == before
    assert [each["name"] for each in done("webhook", "list", *OF_CONTOSO)] == ["second", "soar.example"]


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (("http://soar.example/",), 2, "the URL must begin with https://"),
        (("https://127.0.0.1/",), 2, "127.0.0.1 is a private or reserved address"),
        (("https://ada@soar.example/",), 2, "must not contain a user name or password"),
        (("https://printer/",), 2, "printer is a name inside a network; add --allow-private if it is meant"),
        ((URL, "--allow-private"), 1, "[webhooks] private_addresses is empty"),
        (
            (URL, "--kind", "deleted"),
            2,
            "--kind: 'deleted' is not allowed; allowed: created, updated, alertAdded, alertChanged, alertMoved, "
            "merged, removed, visibilityChanged",
        ),
        (
            (URL, "--severity", "Critical"),
            2,
            "--severity: 'Critical' is not allowed; allowed: UnSpecified, Informational, Low, Medium, High",
        ),
        ((URL, "--name", "\t"), 1, "a webhook's name is 1 to 200 printable characters"),
    ],
)
def test_what_cannot_be_a_webhook_is_refused(arguments: tuple[str, ...], code: int, reason: str) -> None:
    ended = run("webhook", "add", *arguments, *OF_CONTOSO)

    assert ended.code == code
    assert reason in ended.refusal
    assert done("webhook", "list", *OF_CONTOSO) == []


def test_a_private_address_is_named_where_both_allow_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIGIE_WEBHOOKS_PRIVATE_ADDRESSES", "10.0.0.0/8")

    done("webhook", "add", "http://10.1.2.3:9000/", *OF_CONTOSO, "--allow-private")

    assert "is a private or reserved" in run("webhook", "add", "http://10.1.2.3/", *OF_CONTOSO).err + (
        run("webhook", "add", "https://10.1.2.3/", *OF_CONTOSO).err
    )
    refused = run("webhook", "add", "http://192.168.0.1/", *OF_CONTOSO, "--allow-private")
    assert "192.168.0.1 is a private or reserved address" in refused.refusal


def test_a_name_is_given_once() -> None:
    done("webhook", "add", URL, *OF_CONTOSO)

    refused = run("webhook", "add", URL, *OF_CONTOSO)

    assert refused.refusal == (
        "vigie: there is already a webhook 'soar.example' in contoso; choose another with --name"
    )


def test_one_is_found_by_its_name_or_id_and_removed() -> None:
    one = done("webhook", "add", URL, *OF_CONTOSO, "--name", "one")
    done("webhook", "add", URL, *OF_CONTOSO, "--name", "two")

    done("webhook", "remove", one["id"], *OF_CONTOSO, "--yes")
    done("webhook", "remove", "two", *OF_CONTOSO, "--yes")

    assert done("webhook", "list", *OF_CONTOSO) == []
    assert run("webhook", "retry", "two", *OF_CONTOSO).refusal == (
        "vigie: there is no webhook 'two' in contoso; `vigie webhook list --tenant contoso` shows them"
    )


def test_it_goes_with_its_tenant() -> None:
    done("webhook", "add", URL, *OF_CONTOSO)
    done("tenant", "remove", "contoso", "--yes")
    done("tenant", "add", "contoso")

    assert done("webhook", "list", *OF_CONTOSO) == []


def test_a_backup_says_that_the_key_to_the_secrets_is_not_in_it() -> None:
    assert "webhook-secrets.key" not in run("backup", "before.sqlite3").err
    done("webhook", "add", URL, *OF_CONTOSO)

    assert "webhook-secrets.key" in run("backup", "after.sqlite3").err
