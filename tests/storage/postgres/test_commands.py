"""Commands over PostgreSQL, where they differ from those over a file."""

import json
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest

from tests.support.builders import an_incident
from tests.support.commands import done, run, served
from tests.support.house import eventually
from tests.support.postgres_server import PostgresServer
from tests.support.stores import a_secret_in, the_postgres_server
from vigie.config.settings import DatabaseSettings
from vigie.storage.statements import migrations

HOW_TO = "create one: (umask 077; openssl rand -base64 48 > vigie-keys.secret)"


@pytest.fixture
def server() -> PostgresServer:
    return the_postgres_server()


@pytest.fixture
def url(server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty database that the environment names, and a working directory."""
    monkeypatch.chdir(tmp_path)
    url = server.url(server.new_database())
    monkeypatch.setenv("VIGIE_DATABASE", url)
    return url


@pytest.fixture
def secret(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = a_secret_in(tmp_path)
    monkeypatch.setenv("VIGIE_KEYS_SECRET_FILE", str(file))
    return file


class Client:
    """A client of one server."""

    def __init__(self, url: str) -> None:
        self._url = url

    def token(self, tenant: str, app: Any) -> str:
        """A token for an application from this server."""
        form = {
            "grant_type": "client_credentials",
            "client_id": app["client_id"],
            "client_secret": app["client_secret"],
            "scope": "https://api.security.microsoft.com/.default",
        }
        request = Request(f"{self._url}/{tenant}/oauth2/v2.0/token", urlencode(form).encode())
        with urlopen(request, timeout=20) as answer:
            return str(json.load(answer)["access_token"])

    def status(self, number: int, token: str) -> int:
        """How it answers to a reader with this token."""
        request = Request(f"{self._url}/api/incidents/{number}", headers={"Authorization": f"Bearer {token}"})
        try:
            with urlopen(request, timeout=20) as answer:
                return int(answer.status)
        except HTTPError as error:
            error.close()
            return error.code

    def becomes(self, number: int, token: str, status: int) -> bool:
        """Whether it answers so within the five seconds that are promised."""
        return eventually(lambda: self.status(number, token) == status, within_seconds=5)


def test_a_place_is_shown_without_its_password() -> None:
    settings = DatabaseSettings(url="postgresql://ana:hunter2@db.example:5433/vigie?sslmode=require")

    assert settings.place == "postgresql://ana@db.example:5433/vigie"
    assert settings.has_password
    assert not DatabaseSettings(url="postgresql://ana@db.example:5433/vigie").has_password


def test_a_store_is_filled_and_asked_by_commands(url: str, secret: Path) -> None:
    Path("incidents.jsonl").write_text(json.dumps(an_incident(incidentId=7)) + "\n", encoding="utf-8")

    done("tenant", "add", "Contoso")
    app = done("app", "add", "reader", "--tenant", "Contoso", "--permission", "Incident.Read.All")
    imported = done("import", "incidents.jsonl", "--tenant", "Contoso")
    strictly = done("import", "incidents.jsonl", "--tenant", "Contoso", "--strict")
    exported = run("export", "--tenant", "Contoso")
    token = done("token", "--app", app["client_id"], "--tenant", "Contoso")

    assert imported == {"read": 1, "added": 1, "replaced": 0, "refused": 0, "errors": []}
    assert strictly == {"read": 1, "added": 0, "replaced": 1, "refused": 0, "errors": []}
    assert json.loads(exported.out)["incidentId"] == 7
    assert token["token_type"] == "Bearer"
    assert done("migrate") == {"schema": migrations("postgres")[-1][0]}


def test_without_a_secret_nothing_is_served_and_how_to_make_one_is_said(url: str) -> None:
    done("tenant", "add", "Contoso")

    ended = run("serve", "--port", 0)

    assert ended.code == 2
    assert "[keys] secret_file is not set" in ended.err
    assert HOW_TO in ended.err


@pytest.mark.parametrize(
    ("secret_bytes", "mode", "refusal"),
    [
        (b"short\n", 0o600, "has 5 bytes, and needs 32"),
        (b"x" * 32, 0o644, "has too permissive a mode (0644); run `chmod 600 keys.secret`"),
    ],
)
def test_a_secret_that_is_too_short_or_open_to_others_is_refused(
    url: str, secret_bytes: bytes, mode: int, refusal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("keys.secret").write_bytes(secret_bytes)
    Path("keys.secret").chmod(mode)
    monkeypatch.setenv("VIGIE_KEYS_SECRET_FILE", "keys.secret")

    assert refusal in run("init").refusal


def test_the_keys_in_the_store_open_under_one_secret_only(
    url: str, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done("tenant", "add", "Contoso")
    done("keys", "rotate")
    Path("other").mkdir()
    monkeypatch.setenv("VIGIE_KEYS_SECRET_FILE", str(a_secret_in(Path("other"))))

    assert "do not open with the secret in [keys] secret_file" in run("keys", "rotate").refusal


def test_no_private_key_is_readable_in_the_store(url: str, secret: Path, server: PostgresServer) -> None:
    done("keys", "rotate")

    database = url.partition("@/")[2].partition("?")[0]
    (kept,) = server.sql(
        "SELECT value FROM installation WHERE name = 'signing_keys'", database=database
    ).splitlines()

    assert kept.startswith("vigie1.")
    assert '"kty"' not in kept


def test_init_writes_the_url_and_never_a_password(url: str, secret: Path) -> None:
    made = done("init", "--database", url)

    assert made["store"] == url
    assert made["signing_keys"] == "in the database"
    assert f"url = {json.dumps(url)}" in Path("vigie.toml").read_text(encoding="utf-8")
    ended = run("init", "elsewhere", "--database", url.replace("postgres@", "postgres:hunter2@"))
    assert "a password must not be on the command line" in ended.err
    assert "hunter2" not in ended.err
    assert not Path("elsewhere").exists()


def test_two_servers_share_tokens_keys_and_changes(url: str, secret: Path) -> None:
    done("tenant", "add", "Contoso", "--domain", "contoso.example")
    Path("incidents.jsonl").write_text(json.dumps(an_incident(incidentId=7)) + "\n", encoding="utf-8")
    done("import", "incidents.jsonl", "--tenant", "Contoso")
    app = done("app", "add", "reader", "--tenant", "Contoso", "--permission", "Incident.Read.All")
    options: tuple[Any, ...] = ("--database", url, "--config", "vigie.toml", "--port", 0)
    Path("vigie.toml").write_text(
        f'[keys]\nsecret_file = "{secret}"\n[identity]\nrevocation_seconds = 0.2\n', encoding="utf-8"
    )

    with served(*options) as (_, one), served(*options) as (_, two):
        first, second = Client(one["url"]), Client(two["url"])
        token = first.token("contoso.example", app)
        assert [each.status(7, token) for each in (first, second)] == [200, 200]
        rotated = done("keys", "rotate", "--drop-old")
        assert all(each.becomes(7, token, 401) for each in (first, second))
        fresh = second.token("contoso.example", app)
        assert rotated["kid"]
        assert [each.status(7, fresh) for each in (first, second)] == [200, 200]
        done("app", "remove", app["client_id"], "--tenant", "Contoso", "--yes")
        assert all(each.becomes(7, fresh, 401) for each in (first, second))


def test_a_server_on_postgres_makes_its_own_certificate(url: str, secret: Path) -> None:
    Path("vigie.toml").write_text(f'[keys]\nsecret_file = "{secret}"\n', encoding="utf-8")
    options: tuple[Any, ...] = ("--database", url, "--config", "vigie.toml", "--port", 0, "--tls", "auto")

    with served(*options) as (_, said):
        assert said["url"].startswith("https://")
        assert Path(said["ca"]).resolve() == Path(".vigie/ca.pem").resolve()


@pytest.mark.usefixtures("secret")
def test_what_there_is_in_postgresql_is_shown_as_in_a_file(url: str) -> None:
    done("tenant", "add", "contoso")
    done("import", "-", "--tenant", "contoso", stdin=json.dumps(an_incident(incidentId=5, status="Active")))
    kid = done("keys", "rotate")["kid"]

    changed = done("issuer", "set", "https://vigie.example")
    told = done("status")

    assert changed["issuer"] == told["issuer"] == "https://vigie.example"
    assert told["database"] == {
        "place": DatabaseSettings(url=url).place,
        "schema": migrations("postgres")[-1][0],
    }
    assert told["keys"] == {"place": "the database", "signs": kid, "accepted": 2, "problem": None}
    assert [tenant["incidents"] for tenant in told["tenants"]] == [1]
    (listed,) = done("incident", "list", "--tenant", "contoso", "--status", "Active")
    assert listed["incident_id"] == 5
    assert done("incident", "show", "5", "--tenant", "contoso")["incidentId"] == 5


def test_the_status_says_why_the_keys_of_a_postgresql_store_cannot_be_read(
    url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("VIGIE_KEYS_SECRET_FILE", str(a_secret_in(tmp_path)))
    done("tenant", "add", "contoso")
    monkeypatch.delenv("VIGIE_KEYS_SECRET_FILE")

    assert "[keys] secret_file is not set" in done("status")["keys"]["problem"]
