"""Tokens of other issuers, from their claims to what their bearer sees: through a real server and a real issuer."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.builders import an_alert, an_incident
from tests.support.foreign_issuers import (
    AUDIENCE,
    DOMAIN,
    JWKS,
    OTHER_DOMAIN,
    SOC_ROLES,
    ForeignIssuer,
    TrustingHouse,
    ec_pair,
    ed_pair,
    foreign_issuer,
    rsa_pair,
    trusting,
)
from tests.support.house import READ_ALL, RunningHouse, eventually
from vigie.config.issuer_settings import ApplicationMarkSettings, RoleSettings
from vigie.config.settings import IdentitySettings, SettingsError
from vigie.core.access import RolePermission

GOOD, UNKNOWN, FORBIDDEN = 404, 401, 403
"""How a call for an incident that is not there is answered to a caller who may read, proves nothing, may not."""


@pytest.fixture(scope="module")
def issuer() -> Iterator[ForeignIssuer]:
    with foreign_issuer(rsa_pair(), ec_pair(), ec_pair("ec-384", 384), ed_pair()) as issuer:
        yield issuer


@pytest.fixture(scope="module")
def trusted(
    store: str, issuer: ForeignIssuer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TrustingHouse]:
    """A house that trusts an issuer whose groups give roles."""
    with TrustingHouse(tmp_path_factory.mktemp("trusting"), trusting(issuer, **SOC_ROLES)) as trusted:
        yield trusted


# Applications


def test_an_application_of_another_issuer_reads_the_tenant(
    issuer: ForeignIssuer, trusted: TrustingHouse
) -> None:
    incident = trusted.house.takes(an_incident(an_alert("laptops")), tenant=trusted.tenant)

    answer = trusted.get(incident, issuer.token())

    assert (answer.status, answer.json["incidentId"]) == (200, incident)


def test_our_own_tokens_are_accepted_beside_them(trusted: TrustingHouse) -> None:
    assert trusted.status(trusted.house.a_token()) == GOOD


@pytest.mark.parametrize(
    ("pair", "algorithm"),
    [
        *((rsa_pair(), f"{kind}{size}") for kind in ("RS", "PS") for size in (256, 384, 512)),
        (ec_pair(), "ES256"),
        (ec_pair("ec-384", 384), "ES384"),
        (ed_pair(), "EdDSA"),
        (ed_pair(), "Ed25519"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_asymmetric_algorithm_is_taken_from_its_kind_of_key(
    issuer: ForeignIssuer, trusted: TrustingHouse, pair: Any, algorithm: str
) -> None:
    assert trusted.status(issuer.token(pair=pair, alg=algorithm)) == GOOD


def test_an_audience_may_be_one_of_several(issuer: ForeignIssuer, trusted: TrustingHouse) -> None:
    assert trusted.status(issuer.token(issuer.claims(aud=["account", AUDIENCE]))) == GOOD


@pytest.mark.parametrize(
    "audience", ["account", [], ["account"], f"{AUDIENCE}/", "https://api.security.microsoft.com"]
)
def test_a_token_for_another_api_is_answered_401_with_what_stands_in_it(
    issuer: ForeignIssuer, trusted: TrustingHouse, audience: str | list[str]
) -> None:
    answer = trusted.get(1, issuer.token(issuer.claims(aud=audience)))

    said = audience if isinstance(audience, str) else " ".join(audience)
    assert (answer.status, answer.code) == (UNKNOWN, "Unauthorized")
    described = f"AppId: poller, Audience: {said}, Issuer: {issuer.url}, Validity: valid to 20"
    assert answer.json["error"]["message"].startswith(f"Invalid Authorization payload. {described}")


def test_an_application_without_a_permission_is_told_which_it_needs(
    issuer: ForeignIssuer, trusted: TrustingHouse
) -> None:
    answer = trusted.get(1, issuer.token(issuer.claims(roles=["Mail.Read", "Incident.Read"])))

    assert answer.status == FORBIDDEN
    assert answer.json["error"]["message"].endswith("application roles: .")


def test_an_application_that_may_write_is_named_with_its_issuer_in_the_history(
    issuer: ForeignIssuer, trusted: TrustingHouse
) -> None:
    incident = trusted.house.takes(an_incident(), tenant=trusted.tenant)
    token = issuer.token(issuer.claims(roles=["Incident.ReadWrite.All"]))

    answer = patch(trusted, incident, token, {"comment": "seen"})

    assert answer["comments"][-1]["createdBy"] == "poller"
    assert actors(trusted, incident)[-1] == f"application poller (poller of {issuer.url})"


def patch(trusted: TrustingHouse, incident: int, token: str, update: dict[str, object]) -> Any:
    answer = trusted.running.request(
        "PATCH",
        f"/api/incidents/{incident}",
        [("Authorization", f"Bearer {token}"), ("Content-Type", "application/json")],
        body=json.dumps(update).encode(),
    )
    assert answer.status == 200, answer.body
    return answer.json


def actors(trusted: TrustingHouse, incident: int) -> list[str]:
    incidents = trusted.running.installation.incidents
    return [
        entry.actor for entry in trusted.running.run(incidents.history(trusted.tenant.tenant_id, incident))
    ]


# Users, and the roles that groups give


def test_a_user_whom_the_directory_does_not_know_sees_what_the_groups_give(
    issuer: ForeignIssuer, trusted: TrustingHouse
) -> None:
    trusted.running.run(trusted.house.directory.add_device_group(trusted.tenant, "kiosks", 13))
    incident = trusted.house.takes(
        an_incident(an_alert("laptops"), an_alert("kiosks")), tenant=trusted.tenant
    )

    whole = trusted.get(incident, issuer.token(issuer.user_claims(groups=["readers"])))
    scoped = trusted.get(incident, issuer.token(issuer.user_claims(groups=["it-laptops", "choir"])))

    assert [len(answer.json["alerts"]) for answer in (whole, scoped)] == [2, 1]


@pytest.mark.parametrize("groups", [..., [], ["choir"], ["gone"], "READERS"])
def test_a_user_whose_groups_give_nothing_sees_nothing(
    issuer: ForeignIssuer, trusted: TrustingHouse, groups: object
) -> None:
    answer = trusted.get(1, issuer.token(issuer.user_claims(groups=groups)))

    assert answer.status == FORBIDDEN
    assert answer.json["error"]["message"] == "The user has no role that allows viewing security data."


def test_a_user_needs_a_permission_in_the_token_too(issuer: ForeignIssuer, trusted: TrustingHouse) -> None:
    claims = issuer.user_claims(groups=["soc"], scope="openid Incident.Read.All", roles=["Incident.Read.All"])

    answer = trusted.get(1, issuer.token(claims))

    assert answer.status == FORBIDDEN
    assert answer.json["error"]["message"].endswith("token scopes: .")


def test_a_user_is_named_as_the_claims_say_and_in_the_history_with_id_and_issuer(
    issuer: ForeignIssuer, trusted: TrustingHouse
) -> None:
    incident = trusted.house.takes(an_incident(), tenant=trusted.tenant)
    token = issuer.token(issuer.user_claims(groups=["soc"], scope="Incident.ReadWrite"))

    answer = patch(trusted, incident, token, {"comment": "mine"})

    assert answer["comments"][-1]["createdBy"] == "ines@contoso.example"
    assert actors(trusted, incident)[-1] == f"user ines@contoso.example (a1b2 of {issuer.url})"


def test_without_a_name_in_the_claims_the_id_is_the_name(
    issuer: ForeignIssuer, trusted: TrustingHouse
) -> None:
    incident = trusted.house.takes(an_incident(), tenant=trusted.tenant)
    token = issuer.token(issuer.user_claims(groups=["soc"], scope="Incident.ReadWrite", name=...))

    assert patch(trusted, incident, token, {"comment": "x"})["comments"][-1]["createdBy"] == "a1b2"


def test_a_user_manages_only_where_a_group_gives_that(issuer: ForeignIssuer, trusted: TrustingHouse) -> None:
    incident = trusted.house.takes(an_incident(an_alert("laptops")), tenant=trusted.tenant)
    token = issuer.token(issuer.user_claims(groups=["it-laptops", "it-servers"], scope="Incident.ReadWrite"))

    answer = trusted.running.request(
        "PATCH",
        f"/api/incidents/{incident}",
        [("Authorization", f"Bearer {token}")],
        body=b'{"status": "Resolved"}',
    )

    assert (answer.status, answer.json["error"]["message"]) == (
        FORBIDDEN,
        "The user may see this incident, but not manage it.",
    )


def test_a_role_that_changes_changes_what_remembered_tokens_show(
    issuer: ForeignIssuer, tmp_path: Path
) -> None:
    roles = {
        "roles_from": ("groups",),
        "roles": (RoleSettings(value="t1", role="tier-1", whole_tenant=True),),
    }
    with TrustingHouse(tmp_path, trusting(issuer, **roles)) as trusted:
        token = issuer.token(issuer.user_claims(groups=["t1"]))
        before = trusted.status(token)
        trusted.running.run(
            trusted.house.directory.add_role(trusted.tenant, "tier-1", [RolePermission.VIEW_DATA])
        )

        assert before == FORBIDDEN
        assert eventually(lambda: trusted.status(token) == GOOD)


# Users, and the roles of the directory


def test_where_no_group_gives_roles_the_directory_does(issuer: ForeignIssuer, tmp_path: Path) -> None:
    settings = trusting(issuer, user_from=("name",))
    with TrustingHouse(tmp_path, settings) as trusted:
        token = issuer.token(issuer.user_claims(name="INES@contoso.example"))
        stranger = trusted.status(token)
        user = trusted.add_user("ines@contoso.example")
        without_role = [trusted.status(issuer.token(issuer.user_claims(jti="2")))]
        trusted.house.tenant = trusted.tenant
        trusted.house.grant(user, "security-reader")

        assert stranger == UNKNOWN
        assert without_role == [FORBIDDEN]
        assert eventually(lambda: trusted.status(token) == GOOD)


@pytest.mark.parametrize(
    ("upn", "claim"),
    [
        ("mark@contoso.example", "mar\u212a@contoso.example"),
        ("strasse@contoso.example", "straße@contoso.example"),
        ("straße@contoso.example", "STRASSE@contoso.example"),
        ("lisa@contoso.example", "li\u017fa@contoso.example"),
    ],
)
@pytest.mark.parametrize("gives_roles", [False, True])
def test_a_claim_that_only_folds_to_a_upn_is_not_that_user(
    issuer: ForeignIssuer, tmp_path: Path, upn: str, claim: str, gives_roles: bool
) -> None:
    settings = trusting(issuer, user_from=("name",), **(SOC_ROLES if gives_roles else {}))
    with TrustingHouse(tmp_path, settings) as trusted:
        trusted.house.tenant = trusted.tenant
        trusted.house.grant(trusted.add_user(upn), "security-operator")
        incident = trusted.house.takes(an_incident(), tenant=trusted.tenant)
        claims = {"groups": ["soc"], "scope": "Incident.ReadWrite"}
        own, alike = (issuer.token(issuer.user_claims(name=name, **claims)) for name in (upn, claim))

        assert patch(trusted, incident, own, {"comment": "x"})["comments"][-1]["createdBy"] == upn
        if gives_roles:
            assert patch(trusted, incident, alike, {"comment": "x"})["comments"][-1]["createdBy"] == claim
        else:
            assert trusted.status(alike) == UNKNOWN


@pytest.mark.parametrize(("user_is", "good"), [("upn", "upn"), ("object-id", "object_id")])
def test_a_claim_is_a_upn_or_an_object_id_as_the_setting_says(
    issuer: ForeignIssuer, tmp_path: Path, user_is: str, good: str
) -> None:
    with TrustingHouse(tmp_path, trusting(issuer, user_from=("name",), user_is=user_is)) as trusted:
        trusted.house.tenant = trusted.tenant
        user = trusted.add_user("ines@contoso.example")
        trusted.house.grant(user, "security-reader")

        def status(name: str) -> int:
            return trusted.status(issuer.token(issuer.user_claims(name=name)))

        for field in ("upn", "object_id"):
            named = str(getattr(user, field))
            assert {status(named), status(named.upper())} == {GOOD if field == good else UNKNOWN}


def test_a_tenant_that_a_claim_only_folds_to_is_not_meant(issuer: ForeignIssuer, tmp_path: Path) -> None:
    settings = trusting(issuer, tenants=(DOMAIN, "kiosk.example"), tenant_claim="tid")
    with TrustingHouse(tmp_path, settings) as trusted:
        trusted.house.add_tenant(domain="kiosk.example")
        names = ("kiosk.example", "KIOSK.example", "\u212aiosk.example")

        statuses = [trusted.status(issuer.token(issuer.claims(tid=name))) for name in names]

    assert statuses == [GOOD, GOOD, UNKNOWN]


def test_a_user_removed_from_the_directory_is_refused(issuer: ForeignIssuer, tmp_path: Path) -> None:
    with TrustingHouse(tmp_path, trusting(issuer, user_from=("name",))) as trusted:
        user = trusted.add_user("ines@contoso.example")
        token = issuer.token(issuer.user_claims())
        before = trusted.status(token)
        trusted.running.run(trusted.house.directory.remove_user(trusted.tenant, user))

        assert before == FORBIDDEN
        assert eventually(lambda: trusted.status(token) == UNKNOWN)


# What an issuer may ever grant


def test_an_issuer_grants_no_more_than_it_may(issuer: ForeignIssuer, tmp_path: Path) -> None:
    settings = trusting(issuer, may_grant=("Incident.Read.All",), **SOC_ROLES)
    with TrustingHouse(tmp_path, settings) as trusted:
        writer = issuer.token(issuer.claims(roles=["Incident.Read.All", "Incident.ReadWrite.All"]))
        user = issuer.token(issuer.user_claims(groups=["soc"], scope="Incident.Read Incident.ReadWrite"))
        incident = trusted.house.takes(an_incident(), tenant=trusted.tenant)

        assert trusted.get(incident, writer).status == 200
        answer = trusted.running.request(
            "PATCH", f"/api/incidents/{incident}", [("Authorization", f"Bearer {writer}")], body=b"{}"
        )
        assert answer.status == FORBIDDEN
        assert trusted.status(user) == FORBIDDEN


def test_what_the_issuer_calls_permissions_is_taken_for_ours(issuer: ForeignIssuer, tmp_path: Path) -> None:
    settings = trusting(
        issuer,
        application_permissions_from=("resource_access.vigie.roles",),
        user_permissions_from=("resource_access.vigie.roles",),
        permissions={"reader": ("Incident.Read.All", "Incident.Read")},
        **SOC_ROLES,
    )
    access = {"resource_access": {"vigie": {"roles": ["reader"]}}, "roles": ..., "scope": ...}
    with TrustingHouse(tmp_path, settings) as trusted:
        assert trusted.status(issuer.token(issuer.claims(**access))) == GOOD
        assert trusted.status(issuer.token(issuer.user_claims(groups=["readers"], **access))) == GOOD
        assert trusted.status(issuer.token(issuer.claims(resource_access={"vigie": {}}))) == FORBIDDEN


def test_only_the_applications_that_are_named_are_taken(issuer: ForeignIssuer, tmp_path: Path) -> None:
    with TrustingHouse(tmp_path, trusting(issuer, applications=("poller",))) as trusted:
        assert trusted.status(issuer.token()) == GOOD
        assert trusted.status(issuer.token(issuer.claims(sub="other", client_id="other"))) == UNKNOWN


@pytest.mark.parametrize(
    ("mark", "claims", "is_application"),
    [
        ({}, {}, False),
        ({"absent": "scp"}, {}, True),
        ({"absent": "scp"}, {"scp": ""}, False),
        ({"present": "act.service"}, {"act": {"service": True}}, True),
        ({"present": "act.service"}, {"act": "service"}, False),
        ({"same": ("sub", "client_id")}, {"sub": "poller"}, True),
        ({"same": ("sub", "client_id")}, {"sub": "somebody"}, False),
        ({"same": ("sub", "none")}, {"sub": "poller"}, False),
    ],
)
def test_a_token_is_a_users_unless_its_mark_says_otherwise(
    issuer: ForeignIssuer, mark: dict[str, Any], claims: dict[str, object], is_application: bool
) -> None:
    trusted = trusting(issuer, application_when=ApplicationMarkSettings(**mark)).as_trusted()

    assert (trusted.kind_of(issuer.claims(**claims)).value == "application") == is_application


# Tenants


def test_an_issuer_that_speaks_for_several_tenants_names_each_in_a_claim(
    issuer: ForeignIssuer, tmp_path: Path
) -> None:
    settings = trusting(issuer, tenants=(DOMAIN, OTHER_DOMAIN), tenant_claim="tid")
    with TrustingHouse(tmp_path, settings) as trusted:
        ours = trusted.house.takes(an_incident(), tenant=trusted.tenant)
        theirs = trusted.house.takes(an_incident(), tenant=trusted.other)
        tokens = [issuer.token(issuer.claims(tid=tid)) for tid in (trusted.tenant.guid, OTHER_DOMAIN.upper())]

        seen = [[trusted.get(each, token).status for each in (ours, theirs)] for token in tokens]

    assert seen == [[200, 404], [404, 200]]


def test_an_issuer_never_speaks_for_a_tenant_that_is_not_its_own(
    issuer: ForeignIssuer, tmp_path: Path
) -> None:
    with TrustingHouse(tmp_path, trusting(issuer, tenant_claim="tid")) as trusted:
        names = [OTHER_DOMAIN, trusted.other.guid, trusted.other.name, trusted.tenant.name, "", "nobody", ...]
        wrong = [trusted.status(issuer.token(issuer.claims(tid=name))) for name in names]

        assert trusted.status(issuer.token(issuer.claims(tid=DOMAIN))) == GOOD
        assert wrong == [UNKNOWN] * len(names)


def test_where_the_tenant_is_fixed_no_claim_changes_it(issuer: ForeignIssuer, trusted: TrustingHouse) -> None:
    theirs = trusted.house.takes(an_incident(), tenant=trusted.other)

    answer = trusted.get(theirs, issuer.token(issuer.claims(tid=trusted.other.guid, tenant=OTHER_DOMAIN)))

    assert answer.status == 404


def test_an_issuer_with_the_tenant_in_its_url_is_held_to_it(tmp_path: Path) -> None:
    with foreign_issuer() as base:
        settings = trusting(
            base,
            issuer=f"{base.origin}/{{tenantid}}/v2.0",
            tenants=(DOMAIN, OTHER_DOMAIN),
            tenant_claim="tid",
        )
        base.path = "/common/v2.0"
        base.answers("/.well-known/openid-configuration", base.document(issuer=settings.issuer))
        with TrustingHouse(tmp_path, settings) as trusted:

            def status(tid: str, in_url: str) -> int:
                return trusted.status(base.token(base.claims(iss=f"{base.origin}/{in_url}/v2.0", tid=tid)))

            ours, theirs = trusted.tenant.guid, trusted.other.guid

            assert (status(ours, ours), status(theirs, theirs)) == (GOOD, GOOD)
            assert (status(ours, theirs), status(ours, "{tenantid}"), status(ours, "")) == (UNKNOWN,) * 3


def test_a_key_that_is_kept_for_another_issuer_signs_nothing_here(tmp_path: Path) -> None:
    with foreign_issuer() as issuer, TrustingHouse(tmp_path, trusting(issuer)) as trusted:
        issuer.answers(JWKS, {"keys": [rsa_pair().jwk(issuer="https://login.example/other/v2.0")]})

        assert trusted.status(issuer.token()) == UNKNOWN


def test_of_two_issuers_each_is_checked_with_its_own_keys(tmp_path: Path) -> None:
    ours, theirs = rsa_pair("shared-kid"), ec_pair("shared-kid")
    with foreign_issuer(ours) as one, foreign_issuer(theirs) as two:
        settings = trusting(one), trusting(two, tenants=(OTHER_DOMAIN,))
        with TrustingHouse(tmp_path, *settings) as trusted:
            assert [trusted.status(each.token()) for each in (one, two)] == [GOOD, GOOD]
            assert trusted.status(one.token(pair=theirs)) == UNKNOWN
            assert trusted.status(two.token(two.claims(), pair=ours)) == UNKNOWN
            # What one signs in the name of the other is the other's to check.
            assert trusted.status(one.token(one.claims(iss=two.url))) == UNKNOWN


def test_two_issuers_with_applications_of_one_id_do_not_share_a_quota(tmp_path: Path) -> None:
    with (
        foreign_issuer() as one,
        foreign_issuer(ec_pair()) as two,
        TrustingHouse(tmp_path, trusting(one), trusting(two), calls_per_minute=3) as trusted,
    ):
        spent = [trusted.status(one.token()) for _ in range(4)]

        assert spent == [GOOD, GOOD, GOOD, 429]
        assert trusted.status(two.token()) == GOOD


# Starting


def test_an_issuer_that_is_the_houses_own_stops_the_start(tmp_path: Path) -> None:
    with foreign_issuer() as issuer:
        settings = IdentitySettings(
            issuer=issuer.origin, issuers=(trusting(issuer, issuer=f"{issuer.origin}/x"),)
        )

        with (
            pytest.raises(SettingsError, match="is the issuer of this installation"),
            RunningHouse(tmp_path, identity=settings),
        ):
            pass


def test_an_issuer_that_is_away_does_not_stop_the_start(tmp_path: Path) -> None:
    with foreign_issuer() as issuer:
        issuer.is_away()
        with TrustingHouse(tmp_path, trusting(issuer)) as trusted:
            answer = trusted.get(1, issuer.token())

            assert (answer.status, answer.code) == (503, "ServiceUnavailable")
            assert 0 < int(answer.header("retry-after") or 0) <= 10
            assert trusted.status(trusted.house.a_token(READ_ALL)) == GOOD
