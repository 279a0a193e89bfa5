"""Whom Python clients trust, as docs/tls.md tells it: `REQUESTS_CA_BUNDLE` beside what a program says."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import certifi
import msal  # type: ignore[import-untyped]
import pytest
import requests
from azure.identity import ClientSecretCredential

from tests.support.commands import done, served

SCOPE = "https://api.security.microsoft.com/.default"


class Client:
    """An application, and a server with a certificate of a private authority."""

    def __init__(self, said: dict[str, Any], application: dict[str, Any]) -> None:
        self.ca: str = said["ca"]
        self._url: str = said["url"]
        self._application = application

    def get(self, **options: Any) -> int:
        """What a single call by requests answers."""
        return requests.get(f"{self._url}/healthz", timeout=10, **options).status_code

    def msal(self, **options: Any) -> Any:
        """A token by MSAL."""
        client = msal.ConfidentialClientApplication(
            self._application["client_id"],
            client_credential=self._application["client_secret"],
            authority=f"{self._url}/{self._application['tenant_id']}",
            instance_discovery=False,
            **options,
        )
        # It would stay open until it is collected.
        with closing(client.http_client):
            return client.acquire_token_for_client([SCOPE])

    def azure(self) -> str:
        """A token by azure-identity, which is told whom to trust."""
        with ClientSecretCredential(
            self._application["tenant_id"],
            self._application["client_id"],
            self._application["client_secret"],
            authority=self._url,
            disable_instance_discovery=True,
            connection_verify=self.ca,
            retry_total=0,
        ) as credential:
            return credential.get_token(SCOPE).token


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("trust")
    database = ("--database", f"sqlite:///{folder / 'vigie.sqlite3'}")
    done("tenant", "add", "contoso", *database)
    application = done(
        "app", "add", "reader", "--tenant", "contoso", "--permission", "Incident.Read.All", *database
    )
    with served("--port", "0", "--tls", "auto", *database) as (_, said):
        yield Client(said, application)


@pytest.fixture(params=["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def bundle_of_others(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The variable is set, as companies do, to certificates of which none is ours."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    variable: str = request.param
    monkeypatch.setenv(variable, certifi.where())
    return variable


@pytest.mark.usefixtures("bundle_of_others")
def test_the_variable_overrides_what_msal_is_told_to_trust(client: Client) -> None:
    with pytest.raises(requests.exceptions.SSLError):
        client.msal(verify=client.ca)


@pytest.mark.usefixtures("bundle_of_others")
def test_a_session_that_does_not_read_the_environment_trusts_what_it_is_told(client: Client) -> None:
    with requests.Session() as http:
        http.verify, http.trust_env = client.ca, False

        assert "access_token" in client.msal(http_client=http)


def test_both_authorities_in_one_bundle_are_trusted(
    client: Client, bundle_of_others: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = tmp_path / "bundle.pem"
    both.write_bytes(Path(certifi.where()).read_bytes() + Path(client.ca).read_bytes())
    monkeypatch.setenv(bundle_of_others, str(both))

    assert "access_token" in client.msal()


def test_without_the_variable_msal_trusts_what_it_is_told(
    client: Client, bundle_of_others: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(bundle_of_others)

    assert "access_token" in client.msal(verify=client.ca)


@pytest.mark.usefixtures("bundle_of_others")
def test_a_single_call_and_azure_identity_trust_what_they_are_told(client: Client) -> None:
    assert client.get(verify=client.ca) == 200
    assert client.azure()
