"""The issuer, from `init` on: MSAL, unmodified, takes the discovery of a server that was set up as documented."""

import shlex
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msal  # type: ignore[import-untyped]
import pytest
import requests

from tests.support.commands import Ended, done, events_in, run, served

PERMISSION = ("--permission", "Incident.Read.All")


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def port() -> int:
    """One that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


# init


def test_init_settles_the_issuer_on_the_url_that_clients_will_use() -> None:
    made = run("init", "--public-url", "https://vigie.example", "--tls", "auto", "--json")

    assert made.json["issuer"] == "https://vigie.example"
    assert made.err == ""
    text = Path("vigie.toml").read_text(encoding="utf-8")
    assert '\npublic_url = "https://vigie.example"\n' in text
    assert '\nmode = "auto"\n' in text


def test_init_with_https_settles_on_https_at_the_address_that_is_served() -> None:
    assert done("init", "--tls", "auto")["issuer"] == "https://127.0.0.1:8400"


def test_what_is_given_to_init_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIGIE_SERVER_PUBLIC_URL", "http://elsewhere.example")

    assert done("init", "--public-url", "https://vigie.example")["issuer"] == "https://vigie.example"


def test_init_without_a_url_says_in_whose_name_tokens_are_issued_and_how_to_change_it() -> None:
    ended = run("init")

    assert ended.code == 0
    assert "http://127.0.0.1:8400" in ended.err
    assert "vigie issuer set URL" in ended.err


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--public-url", "vigie.example"), "--public-url: [server] public_url"),
        (("--public-url", "https://vigie.example/"), "--public-url: [server] public_url"),
        (("--tls", "on"), "--tls: [tls] mode"),
        (("--public-url", "http://vigie.example", "--tls", "auto"), "--public-url is http://"),
    ],
)
def test_an_init_that_cannot_be_meant_makes_nothing(options: tuple[str, ...], reason: str) -> None:
    ended = run("init", *options)

    assert (ended.code, reason in ended.refusal) == (2, True)
    assert list(Path().iterdir()) == []


# issuer set


def test_the_issuer_is_changed_and_said_before_and_after() -> None:
    done("init")

    changed = done("issuer", "set", "https://vigie.example")

    assert changed == {"issuer": "https://vigie.example", "was": "http://127.0.0.1:8400"}
    assert done("issuer", "set", "https://vigie.example")["was"] == "https://vigie.example"


@pytest.mark.parametrize(
    "url", ["", "vigie.example", "https://vigie.example/tenant", "HTTPS://vigie.example"]
)
def test_an_issuer_that_cannot_be_one_is_wrong_usage(url: str) -> None:
    done("init")

    ended = run("issuer", "set", url)

    assert (ended.code, "http(s)://host[:port]" in ended.refusal) == (2, True)


def test_an_issuer_in_the_settings_is_not_changed_behind_them(monkeypatch: pytest.MonkeyPatch) -> None:
    done("init")
    monkeypatch.setenv("VIGIE_IDENTITY_ISSUER", "https://set.example")

    ended = run("issuer", "set", "https://vigie.example")

    assert ended.code == 1
    assert "[identity] issuer = https://set.example" in ended.refusal


# MSAL


def test_msal_takes_the_discovery_of_what_init_was_told(port: int) -> None:
    done("init", "--public-url", f"https://localhost:{port}", "--tls", "auto")
    application = an_application()
    log = Path("serve.log")

    with served("--port", str(port), log=log) as (_, said):
        token = token_by_msal(said, application)

    assert token["token_type"] == "Bearer"
    assert mismatches_in(log) == []


def test_the_warning_at_the_start_names_the_command_after_which_msal_works(
    port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done("init")
    application = an_application()
    as_https = ("--port", str(port), "--tls", "auto", "--public-url", f"https://localhost:{port}")
    log = Path("first.log")

    with served(*as_https, log=log) as (_, said), pytest.raises(ValueError, match="does not match"):
        token_by_msal(said, application)

    (warning,) = mismatches_in(log)
    assert warning["level"] == "warning"
    assert (warning["issuer"], warning["url"]) == ("http://127.0.0.1:8400", f"https://localhost:{port}")
    # From wherever it is copied to.
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert typed(warning["command"]).code == 0
    monkeypatch.chdir(tmp_path)
    with served(*as_https, log=Path("second.log")) as (_, said):
        assert token_by_msal(said, application)["token_type"] == "Bearer"
    assert mismatches_in(Path("second.log")) == []


def test_where_the_settings_have_the_issuer_the_warning_names_the_setting(port: int) -> None:
    Path("vigie.toml").write_text('[identity]\nissuer = "https://set.example"\n', encoding="utf-8")
    log = Path("serve.log")

    with served("--port", str(port), log=log):
        pass

    (warning,) = mismatches_in(log)
    assert warning["command"] is None
    assert warning["setting"] == f'[identity] issuer = "http://127.0.0.1:{port}"'


def test_a_store_without_a_settings_file_is_named_in_the_command(port: int) -> None:
    done("tenant", "add", "contoso", "--database", "sqlite:///my store.sqlite3")
    with served("--database", "sqlite:///my store.sqlite3", "--port", "0"):
        pass
    log = Path("serve.log")

    with served("--database", "sqlite:///my store.sqlite3", "--port", str(port), log=log):
        pass

    (warning,) = mismatches_in(log)
    assert typed(warning["command"]).code == 0
    with served("--database", "sqlite:///my store.sqlite3", "--port", str(port), log=Path("next.log")):
        pass
    assert mismatches_in(Path("next.log")) == []


# Helpers


def an_application() -> dict[str, Any]:
    done("tenant", "add", "contoso")
    added: dict[str, Any] = done("app", "add", "reader", "--tenant", "contoso", *PERMISSION)
    return added


def token_by_msal(said: dict[str, Any], application: dict[str, Any]) -> Any:
    """MSAL with its check of the issuer, as it is for authorities that it does not know."""
    with session_that_trusts(said["ca"]) as http:
        client = msal.ConfidentialClientApplication(
            application["client_id"],
            client_credential=application["client_secret"],
            oidc_authority=f"{said['url']}/{application['tenant_id']}/v2.0",
            http_client=http,
        )
        return client.acquire_token_for_client(["https://api.security.microsoft.com/.default"])


@contextmanager
def session_that_trusts(ca: str) -> Iterator[requests.Session]:
    with requests.Session() as http:
        http.verify = ca
        yield http


def typed(command: str) -> Ended:
    """A command as a shell takes it."""
    program, *arguments = shlex.split(command)
    assert program == "vigie"
    return run(*arguments)


def mismatches_in(log: Path) -> list[dict[str, Any]]:
    return [event for event in events_in(log) if event["event"] == "issuer_mismatch"]
