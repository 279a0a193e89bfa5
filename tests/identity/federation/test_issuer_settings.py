"""The settings of other issuers: taken from the file, checked at the start, and nothing more than they say."""

import json
from pathlib import Path
from typing import Any

import pytest

from vigie.config.issuer_settings import IssuerSettings
from vigie.config.settings import Settings, SettingsError
from vigie.config.sources import Setting, every_issuer_setting, load_settings
from vigie.identity.federation.trusted_issuers import PERMISSIONS

LEAST: dict[str, object] = {
    "issuer": "https://login.example",
    "audiences": ["api://vigie"],
    "tenants": ["contoso.example"],
    "may_grant": ["Incident.Read.All"],
}
ANOTHER_VALUE: dict[str, object] = {
    "issuer": "https://login.example:8443/{tenantid}/v2.0",
    "discovery": "https://login.example/.well-known/oauth-authorization-server",
    "ca": "/etc/vigie/corporate.pem",
    "audiences": ["a", "b"],
    "tenants": ["contoso.example", "4b5a8d6e-0000-4000-8000-000000000000"],
    "tenant_claim": "org.id",
    "token_types": ["JWT", "at+jwt"],
    "applications": ["siem"],
    "application_when": {"same": ["sub", "client_id"]},
    "application_from": ["azp"],
    "application_permissions_from": ["resource_access.vigie.roles"],
    "user_from": ["oid"],
    "user_is": "object-id",
    "user_name_from": ["upn"],
    "user_permissions_from": [],
    "permissions": {"reader": ["Incident.Read", "Incident.Read.All"]},
    "may_grant": list(PERMISSIONS),
    "roles_from": ["groups"],
    "roles": [{"value": "soc", "role": "security-reader", "device_groups": ["laptops"]}],
}
ONE_STEP_BESIDE: dict[str, list[object]] = {
    "issuer": [
        "",
        "login.example",
        "http://login.example",
        "http://10.0.0.1",
        "https://login.example?x",
        "https://login.example#x",
        "https://user@login.example",
        "https://login.example/{tenant}",
        "https://login.example/{tenantid}/{tenantid}",
        "https://login.example/a b",
        "https://login.example\n",
        "ftp://login.example",
        1,
    ],
    "discovery": ["http://login.example/x", "x", 1],
    "ca": ["a\nb", 1],
    "audiences": [[], [""], ["a\nb"], "a", [1]],
    "tenants": [[], [""], "contoso.example"],
    "tenant_claim": [".", "a..b", 1],
    "token_types": [[], ["at+JWT"], ["ID"], "JWT"],
    "applications": [[""], "siem"],
    "application_when": [
        {"present": "a", "absent": "b"},
        {"same": ["a"]},
        {"same": ["a", "b", "c"]},
        {"same": ["a", ""]},
        {"present": "."},
        {"is": "a"},
        "absent",
    ],
    "application_from": [[], ["."], "azp"],
    "application_permissions_from": [["."], "roles"],
    "user_from": [[], ["."]],
    "user_is": ["", "UPN", "oid", 1],
    "user_name_from": [["."]],
    "user_permissions_from": [["."]],
    "permissions": [
        {"reader": ["Incidents.Read.All"]},
        {"reader": "Incident.Read.All"},
        {"": ["Incident.Read"]},
        [],
    ],
    "may_grant": [[], ["Incidents.Read.All"], ["incident.read.all"], "Incident.Read.All"],
    "roles_from": [["."]],
    "roles": [
        [{"value": "soc", "role": "r"}],
        [{"value": "soc", "role": "r", "whole_tenant": True, "device_groups": ["a"]}],
        [{"value": "", "role": "r", "whole_tenant": True}],
        [{"value": "soc", "role": "", "whole_tenant": True}],
        [{"value": "soc", "whole_tenant": True}],
        [{"value": "soc", "role": "r", "whole_tenant": True, "scope": "x"}],
        {},
    ],
}


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def in_toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {in_toml(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list):
        return f"[{', '.join(map(in_toml, value))}]"
    return json.dumps(value)


def settings_with(*tables: dict[str, object], identity: str = "") -> Settings:
    texts = [
        "[[identity.issuers]]\n" + "".join(f"{key} = {in_toml(value)}\n" for key, value in table.items())
        for table in tables
    ]
    Path("vigie.toml").write_text(f"[identity]\n{identity}\n" + "\n".join(texts), encoding="utf-8")
    return load_settings(file=None, environ={})


def refusal_with(*tables: dict[str, object], identity: str = "") -> str:
    with pytest.raises(SettingsError) as caught:
        settings_with(*tables, identity=identity).identity.check()
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


def plain(value: Any) -> object:
    """A value as JSON has it, without what was not said."""
    if isinstance(value, tuple):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if hasattr(value, "__struct_fields__"):
        fields = {name: plain(getattr(value, name)) for name in value.__struct_fields__}
        return {name: each for name, each in fields.items() if each}
    return value


def test_the_values_of_this_test_cover_every_setting() -> None:
    assert list(ANOTHER_VALUE) == list(ONE_STEP_BESIDE) == [each.key for each in every_issuer_setting()]


def test_the_least_that_has_to_be_said_is_what_is_required() -> None:
    settings = settings_with(LEAST)
    settings.identity.check()

    assert [each.key for each in every_issuer_setting() if each.is_required] == list(LEAST)
    assert plain(settings.identity.issuers[0]) == {
        **plain(IssuerSettings(**{key: _frozen(value) for key, value in LEAST.items()}))  # type: ignore[arg-type,dict-item]
    }


def _frozen(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


@pytest.mark.parametrize("setting", every_issuer_setting(), ids=lambda setting: setting.key)
def test_every_setting_is_taken_from_the_file(setting: Setting) -> None:
    value = ANOTHER_VALUE[setting.key]

    issuer = settings_with({**LEAST, setting.key: value}).identity.issuers[0]

    assert plain(getattr(issuer, setting.key)) == value


@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, values in ONE_STEP_BESIDE.items() for value in values], ids=str
)
def test_a_value_one_step_beside_is_refused_with_what_is_allowed(key: str, value: object) -> None:
    setting = next(each for each in every_issuer_setting() if each.key == key)

    message = refusal_with(LEAST, {**LEAST, key: value})

    assert message.startswith(f"vigie.toml, issuer 2: [[identity.issuers]] {key} = ")
    assert message.endswith(f": must be {setting.allowed}")


@pytest.mark.parametrize("key", LEAST)
def test_what_is_required_and_missing_is_named(key: str) -> None:
    message = refusal_with({name: value for name, value in LEAST.items() if name != key})

    assert message.startswith(f"vigie.toml, issuer 1: [[identity.issuers]] {key} is required and must be ")


def test_an_unknown_key_is_named_with_the_closest_known_one() -> None:
    message = refusal_with({**LEAST, "audience": ["x"]})

    assert message.startswith("vigie.toml, issuer 1: unknown key 'audience' in [[identity.issuers]]")
    assert message.endswith("did you mean [[identity.issuers]] audiences?")


@pytest.mark.parametrize("text", ["issuers = 1", "issuers = [1]", 'issuers = "x"', "issuers = {}"])
def test_what_is_no_list_of_tables_is_refused(text: str) -> None:
    assert refusal_with(identity=text).endswith("must be tables, [[identity.issuers]]")


def test_no_variable_and_no_flag_sets_an_issuer() -> None:
    with pytest.raises(SettingsError, match="unknown setting 'VIGIE_IDENTITY_ISSUERS'"):
        load_settings(file=None, environ={"VIGIE_IDENTITY_ISSUERS": "[]"})
    with pytest.raises(SettingsError, match=r"unknown setting 'identity\.issuers'"):
        load_settings(file=None, environ={}, overrides={"identity.issuers": []})


def test_an_issuer_on_this_machine_may_speak_plain_http() -> None:
    for host in ("127.0.0.1:9000", "localhost", "[::1]:9000", "127.1.2.3"):
        settings_with({**LEAST, "issuer": f"http://{host}/realm"}).identity.check()


def test_a_relative_file_of_certificates_counts_from_the_directory_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    text = "".join(f"{key} = {in_toml(value)}\n" for key, value in {**LEAST, "ca": "ca.pem"}.items())
    (tmp_path / "etc" / "vigie.toml").write_text(f"[[identity.issuers]]\n{text}", encoding="utf-8")

    settings = load_settings(file=tmp_path / "etc" / "vigie.toml", environ={})

    assert settings.identity.issuers[0].ca == str(tmp_path / "etc" / "ca.pem")


@pytest.mark.parametrize(
    ("issuer", "url"),
    [
        ("https://login.example", "https://login.example/.well-known/openid-configuration"),
        ("https://login.example/a/", "https://login.example/a/.well-known/openid-configuration"),
        (
            "https://login.example/{tenantid}/v2.0",
            "https://login.example/common/v2.0/.well-known/openid-configuration",
        ),
    ],
)
def test_the_discovery_document_is_at_the_issuer_unless_said_otherwise(issuer: str, url: str) -> None:
    trusted = settings_with({**LEAST, "issuer": issuer}).identity.issuers[0].as_trusted()

    assert trusted.discovery_url == url


# What does not go together


def test_without_an_authority_there_has_to_be_an_issuer() -> None:
    assert refusal_with(identity='authority = "none"') == (
        "[identity] authority = none requires an issuer in [[identity.issuers]]"
    )
    settings_with(LEAST, identity='authority = "none"').identity.check()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://login.example", "https://login.example"),
        ("https://login.example/{tenantid}/v2.0", "https://login.example/abc/v2.0"),
        ("https://login.example/{tenantid}/v2.0", "https://login.example/{tenantid}/v2.0"),
    ],
)
def test_two_issuers_of_the_same_tokens_are_refused(one: str, other: str) -> None:
    tables = [{**LEAST, "issuer": issuer, "tenant_claim": "tid"} for issuer in (one, other)]

    for order in (tables, tables[::-1]):
        assert "is a duplicate" in refusal_with(*order)


@pytest.mark.parametrize(
    "changes",
    [
        {"tenants": ["contoso.example", "fabrikam.example"]},
        {"issuer": "https://login.example/{tenantid}/v2.0"},
    ],
)
def test_where_there_are_several_tenants_a_claim_names_each(changes: dict[str, object]) -> None:
    assert "tenant_claim is required" in refusal_with({**LEAST, **changes})
    settings_with({**LEAST, **changes, "tenant_claim": "tid"}).identity.check()


@pytest.mark.parametrize("key", ["roles", "roles_from"])
def test_roles_and_where_they_are_go_together(key: str) -> None:
    assert "set both roles and roles_from" in refusal_with({**LEAST, key: ANOTHER_VALUE[key]})
