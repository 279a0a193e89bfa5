"""The tables of `docs/identity.md`: each is loaded, and takes what its issuer's tokens look like, and no more."""

import re
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest

from tests.support.builders import an_alert, an_incident
from tests.support.foreign_issuers import ForeignIssuer, TrustingHouse, foreign_issuer
from tests.support.paths import DOCS
from vigie.config.issuer_settings import IssuerSettings
from vigie.config.sources import load_settings

DOCUMENT = DOCS / "identity.md"
TENANT = "0c4b1f6e-5e0b-4d5c-9d8e-6f5b1a2c3d4e"
GROUP = "b7a1f0d2-3c4e-4a6b-8f90-112233445566"
READ, UNKNOWN, FORBIDDEN = 200, 401, 403


def recipes() -> list[str]:
    return re.findall(r"^```toml\n(.*?)^```$", DOCUMENT.read_text(encoding="utf-8"), re.M | re.S)


def issuers_in(recipe: str, folder: Path) -> tuple[IssuerSettings, ...]:
    file = folder / "vigie.toml"
    file.write_text(recipe, encoding="utf-8")
    settings = load_settings(file=file, environ={})
    settings.identity.check()
    return settings.identity.issuers


@dataclass(frozen=True, slots=True)
class Followed:
    """A house that has followed a recipe; but the issuers are on the loopback."""

    trusted: TrustingHouse
    issuers: tuple[ForeignIssuer, ...]

    def sees(self, claims: dict[str, Any], issuer: int = 0, typ: str = "JWT") -> tuple[int, int]:
        """The status, and how many alerts are seen of an incident with one on a laptop and one on a server."""
        incident = self.trusted.house.takes(
            an_incident(an_alert("laptops"), an_alert("servers")), tenant=self.trusted.tenant
        )
        plain = self.issuers[issuer].claims(sub=..., client_id=..., aud=..., roles=...)
        answer = self.trusted.get(incident, self.issuers[issuer].token({**plain, **claims}, typ=typ))
        return answer.status, len(answer.json["alerts"]) if answer.status == READ else 0


@contextmanager
def followed(number: int, folder: Path) -> Iterator[Followed]:
    with ExitStack() as stack:
        settings, issuers = [], []
        for each in issuers_in(recipes()[number], folder):
            issuer = stack.enter_context(foreign_issuer(path=urlsplit(each.issuer).path))
            # The document is where the recipe says, on the loopback.
            if each.discovery:
                place = urlsplit(each.discovery).path
                issuer.path, path = "", issuer.path
                issuer.answers(
                    place, {"issuer": f"{issuer.origin}{path}", "jwks_uri": f"{issuer.origin}/jwks"}
                )
                discovery = f"{issuer.origin}{place}"
            else:
                path, discovery = issuer.path, ""
            url = f"{issuer.origin}{path}"
            settings.append(msgspec.structs.replace(each, issuer=url, discovery=discovery))
            issuers.append(issuer)
        trusted = stack.enter_context(TrustingHouse(folder, *settings))
        yield Followed(trusted, tuple(issuers))


def test_every_recipe_is_whole() -> None:
    assert len(recipes()) == 3
    assert all("identity" in tomllib.loads(recipe) for recipe in recipes())


def test_every_recipe_sets_what_has_no_good_default_for_it(tmp_path: Path) -> None:
    for recipe in recipes():
        for issuer in issuers_in(recipe, tmp_path):
            mark = issuer.application_when
            assert mark.present or mark.absent or mark.same
            assert issuer.as_trusted().discovery_url.startswith("https://")


# Entra ID. Source of the forms: docs/api/tokens.md, "Access token claims".


def test_tokens_of_entra_id_in_version_2(tmp_path: Path) -> None:
    common = {
        "aud": "5d7b6c1a-9a53-4f55-8a44-0f1d2c3b4a59",
        "tid": TENANT,
        "oid": "11111111-2222-3333-4444-555555555555",
        "sub": "pairwise",
        "ver": "2.0",
        "azp": "99999999-2222-3333-4444-555555555555",
        "azpacr": "1",
        "rh": "0.A",
        "uti": "x",
    }
    user = {**common, "scp": "Incident.Read", "preferred_username": "ines@contoso.example"}
    with followed(0, tmp_path) as entra:
        assert entra.sees({**common, "roles": ["Incident.Read.All"]}) == (READ, 2)
        assert entra.sees({**common, "roles": ["Mail.Read"]}) == (FORBIDDEN, 0)
        assert entra.sees({**user, "roles": ["Incidents.Operator"]}) == (READ, 2)
        assert entra.sees({**user, "groups": [GROUP]}) == (READ, 1)
        assert entra.sees({**user, "hasgroups": True}) == (FORBIDDEN, 0)
        # A user with an app role of applications is a user all the same.
        assert entra.sees({**user, "roles": ["Incident.Read.All"]}) == (FORBIDDEN, 0)


def test_an_id_token_of_entra_id_is_none_for_an_api(tmp_path: Path) -> None:
    id_token = {
        "aud": "5d7b6c1a-9a53-4f55-8a44-0f1d2c3b4a59",
        "tid": TENANT,
        "oid": "11111111-2222-3333-4444-555555555555",
        "preferred_username": "ines@contoso.example",
        "roles": ["Incident.ReadWrite.All", "Incidents.Operator"],
        "ver": "2.0",
    }
    with followed(0, tmp_path) as entra:
        assert entra.sees(id_token) == (UNKNOWN, 0)
        assert entra.sees({**id_token, "nonce": "n"}) == (UNKNOWN, 0)


def test_tokens_of_entra_id_in_version_1(tmp_path: Path) -> None:
    with followed(0, tmp_path) as entra:
        url = entra.trusted.running.settings.identity.issuers[1].issuer
        common = {
            "iss": url,
            "aud": "api://vigie.contoso.example",
            "tid": TENANT,
            "oid": "11111111-2222-3333-4444-555555555555",
            "appid": "99999999-2222-3333-4444-555555555555",
            "appidacr": "1",
            "ver": "1.0",
        }
        user = {**common, "scp": "Incident.Read", "upn": "ines@contoso.example"}

        assert url.endswith(f"/{TENANT}/")
        assert entra.sees({**common, "roles": ["Incident.Read.All"]}, issuer=1) == (READ, 2)
        assert entra.sees({**user, "roles": ["Incidents.Operator"]}, issuer=1) == (READ, 2)
        assert entra.sees({**user, "aud": "https://graph.microsoft.com"}, issuer=1) == (UNKNOWN, 0)


# Keycloak


def of_keycloak(**changes: object) -> dict[str, Any]:
    """A service account's access token."""
    return {
        "aud": ["vigie", "account"],
        "sub": "6f3c1f0e-0000-4000-8000-000000000001",
        "typ": "Bearer",
        "azp": "siem",
        "acr": "1",
        "realm_access": {"roles": ["offline_access", "uma_authorization"]},
        "resource_access": {"vigie": {"roles": ["incidents.read"]}, "account": {"roles": ["view-profile"]}},
        "scope": "email profile",
        "client_id": "siem",
        "clientHost": "10.0.0.1",
        "preferred_username": "service-account-siem",
        **changes,
    }


def of_keycloaks_user(*roles: str, **changes: object) -> dict[str, Any]:
    """A person's access token."""
    claims = of_keycloak(
        azp="soc-console",
        sid="5b0e",
        preferred_username="ines",
        realm_access={"roles": ["offline_access", *roles]},
        **changes,
    )
    return {name: value for name, value in claims.items() if not name.startswith("client")}


def test_tokens_of_keycloak(tmp_path: Path) -> None:
    with followed(1, tmp_path) as keycloak:
        assert keycloak.sees(of_keycloak()) == (READ, 2)
        assert keycloak.sees(of_keycloak(resource_access={})) == (FORBIDDEN, 0)
        assert keycloak.sees(of_keycloak(aud="account")) == (UNKNOWN, 0)
        assert keycloak.sees(of_keycloak(azp="elsewhere", client_id="elsewhere")) == (UNKNOWN, 0)
        assert keycloak.sees(of_keycloaks_user("soc")) == (READ, 2)
        assert keycloak.sees(of_keycloaks_user("helpdesk")) == (READ, 1)
        assert keycloak.sees(of_keycloaks_user()) == (FORBIDDEN, 0)
        assert keycloak.sees(of_keycloaks_user("soc", resource_access={})) == (FORBIDDEN, 0)


@pytest.mark.parametrize("kind", ["ID", "Refresh", "Offline", "Logout", "DPoP"])
def test_other_tokens_of_keycloak_are_none_for_an_api(tmp_path: Path, kind: str) -> None:
    with followed(1, tmp_path) as keycloak:
        assert keycloak.sees(of_keycloaks_user("soc", typ=kind)) == (UNKNOWN, 0)


# RFC 9068


def test_tokens_of_a_plain_provider(tmp_path: Path) -> None:
    application = {
        "aud": "https://vigie.contoso.example",
        "sub": "siem",
        "client_id": "siem",
        "scope": "Incident.Read.All",
    }
    user = {**application, "sub": "8c2f", "upn": "ines@contoso.example", "scope": "Incident.Read"}
    with followed(2, tmp_path) as provider:
        known = provider.trusted.add_user("ines@contoso.example")
        provider.trusted.house.tenant = provider.trusted.tenant
        provider.trusted.house.grant(known, "security-reader", "laptops")

        assert provider.sees(application, typ="at+jwt") == (READ, 2)
        assert provider.sees(user, typ="at+jwt") == (READ, 1)
        assert provider.sees({**user, "upn": "stranger@contoso.example"}, typ="at+jwt") == (UNKNOWN, 0)
        # Its ID tokens are of type JWT.
        assert provider.sees({**user, "nonce": "n"}, typ="JWT") == (UNKNOWN, 0)
        assert provider.sees(application, typ="JWT") == (UNKNOWN, 0)
