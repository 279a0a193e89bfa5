"""An installation that issues no tokens: its authority is not there, and who asks for it is told why."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.test_access_table import EXEMPT
from tests.support.commands import run
from tests.support.foreign_issuers import ForeignIssuer, TrustingHouse, foreign_issuer, trusting
from tests.support.house import House, RunningHouse
from tests.support.routes import OF_AUTHORIZATION_SERVER
from vigie.config.settings import IdentitySettings, SettingsError
from vigie.http.profile import Route
from vigie.runtime.installation import KEY_FILE_NAME
from vigie.storage.signing_key_repository import SigningKeyRepository

EVERYWHERE = {path for method, path in EXEMPT if method == "GET"} - {
    route.path for route in OF_AUTHORIZATION_SERVER
}
"""What every server answers everyone."""

GOOD, UNKNOWN = 404, 401


@pytest.fixture(scope="module")
def issuer() -> Iterator[ForeignIssuer]:
    with foreign_issuer() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def trusted(
    store: str, issuer: ForeignIssuer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TrustingHouse]:
    with TrustingHouse(tmp_path_factory.mktemp("without"), trusting(issuer), authority="none") as trusted:
        yield trusted


@pytest.mark.parametrize("row", OF_AUTHORIZATION_SERVER, ids=lambda row: row.path)
def test_the_authority_is_not_there(trusted: TrustingHouse, row: Route) -> None:
    path = re.sub(r"\{\w+\}", trusted.tenant.guid, row.path)

    for method in row.methods:
        answer = trusted.running.request(method, path, body=b"grant_type=client_credentials")
        assert (answer.status, answer.code) == (404, "NotFound")


@pytest.mark.parametrize("path", sorted(EVERYWHERE))
def test_what_is_not_the_authoritys_is_there(trusted: TrustingHouse, path: str) -> None:
    assert trusted.running.request("GET", path).status == 200


def test_tokens_of_the_issuer_are_accepted_and_our_own_are_not(
    issuer: ForeignIssuer, trusted: TrustingHouse
) -> None:
    claims = {
        "aud": "https://api.security.microsoft.com",
        "tid": trusted.tenant.guid,
        "iss": "https://ours.example/",
    }

    assert trusted.status(issuer.token()) == GOOD
    assert trusted.status(trusted.house.sign({**issuer.claims(), **claims})) == UNKNOWN
    assert trusted.status("no token at all") == UNKNOWN


def test_a_401_names_no_place_to_log_in_at(trusted: TrustingHouse) -> None:
    assert trusted.get(1, None).header("www-authenticate") == "Bearer"


def test_with_the_authority_it_names_it(house: House) -> None:
    challenge = house.get(1, None).header("www-authenticate")

    assert challenge == f'Bearer authorization_uri="{house.running.url}/common/oauth2/authorize"'


def test_no_key_is_made_and_no_issuer_settled(trusted: TrustingHouse) -> None:
    trusted.status(None)

    assert not (trusted.running.folder / KEY_FILE_NAME).exists()
    assert trusted.running.run(SigningKeyRepository(trusted.running.installation.database).find()) is None
    assert trusted.running.run(trusted.house.directory.find_issuer()) is None


def test_nobody_who_issues_tokens_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="requires an issuer"):
        RunningHouse(tmp_path, identity=IdentitySettings(authority="none")).__enter__()


# Commands


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VIGIE_IDENTITY_AUTHORITY", "none")
    assert run("tenant", "add", "Contoso").code == 0
    return tmp_path


@pytest.mark.parametrize(
    "command",
    [
        ("token", "--app", "siem", "--tenant", "Contoso"),
        ("keys", "rotate"),
        ("app", "add", "siem", "--tenant", "Contoso"),
        ("app", "rotate-secret", "siem", "--tenant", "Contoso"),
        ("user", "set-password", "ines@contoso.example", "--tenant", "Contoso"),
    ],
    ids=" ".join,
)
def test_a_command_that_needs_the_authority_says_why_it_does_nothing(
    configured: Path, command: tuple[str, ...]
) -> None:
    ended = run(*command)

    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("vigie: [identity] authority = none: this installation issues no tokens")
    assert not list(configured.rglob(KEY_FILE_NAME))


def test_people_and_roles_are_administered_all_the_same(configured: Path) -> None:
    assert run("user", "add", "ines@contoso.example", "--tenant", "Contoso").code == 0
    assert run("user", "list", "--tenant", "Contoso").code == 0
