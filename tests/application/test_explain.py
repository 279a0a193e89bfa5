"""Explaining: what it says agrees with what reading gives, and it says why in words a person can check."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.builders import (
    Document,
    a_device,
    a_redirected_stub,
    an_alert,
    an_entity,
    an_incident,
    device_groups,
    generated_incidents,
    to_json,
)
from tests.support.commands import done, run
from tests.support.house import settings_in
from tests.support.naive_lists import inherited_by
from vigie.application.explain import Explanation, explain
from vigie.core.access import (
    APPLICATION_PERMISSIONS,
    WHOLE_TENANT,
    Assignment,
    Caller,
    CallerKind,
    DeviceGroupLabel,
    Exposure,
    RolePermission,
    exposure_of,
)
from vigie.core.audit import AuditContext
from vigie.core.instants import Instant, parse_instant
from vigie.documents.defender.reading import keep_document
from vigie.documents.defender.redaction import redact
from vigie.runtime.installation import opened
from vigie.synthetic.generator import generate

UPN = "ada@contoso.example"
CONTOSO = ("--tenant", "contoso")
CONTEXT = AuditContext(actor="test", request_id="", at=Instant(17_000_000_000_000_000))
VIEWING = frozenset({RolePermission.VIEW_DATA})


def an_assignment(
    *groups: DeviceGroupLabel, role: str = "viewer", permissions: frozenset[RolePermission] = VIEWING
) -> Assignment:
    """A role over some groups; without any, over the whole tenant."""
    return Assignment(
        role=role, permissions=permissions, device_groups=frozenset(groups), whole_tenant=not groups
    )


def a_user(assignments: Sequence[Assignment], *granted: str) -> Caller:
    return Caller(
        tenant_id=1,
        tenant_guid="",
        kind=CallerKind.USER,
        application_id="",
        name=UPN,
        granted=granted or ("Incident.Read",),
        exposure=exposure_of(assignments),
    )


def an_application(*granted: str) -> Caller:
    return Caller(
        tenant_id=1,
        tenant_guid="",
        kind=CallerKind.APPLICATION,
        application_id="",
        name="reader",
        granted=granted,
        exposure=WHOLE_TENANT,
    )


def told_to_user(
    incident: Document | None, *assignments: Assignment, retained_since: Instant | None = None
) -> Explanation:
    return explain(a_user(assignments), assignments, incident, retained_since=retained_since)


def counted(holder: Document, key: str) -> int:
    return len(holder.get(key) or [])


# --- It agrees with what is read.

assignments = st.lists(
    st.builds(
        Assignment,
        role=st.sampled_from(["viewer", "other"]),
        permissions=st.frozensets(st.sampled_from(RolePermission)),
        device_groups=device_groups,
        whole_tenant=st.sampled_from([False, False, False, True]),
    ),
    max_size=3,
)


@given(generated_incidents() | st.sampled_from(list(generate(40, seed=3))), assignments)
def test_it_agrees_with_what_trimming_leaves(incident: Document, granted: list[Assignment]) -> None:
    exposure = exposure_of(granted)
    left = None if exposure is None else redact(incident, exposure)

    told = told_to_user(incident, *granted)

    assert told.sees == (left is not None)
    if left is None:
        assert (told.visible_alert_count, told.devices_left_out_count, told.entities_left_out_count) == (
            0,
            0,
            0,
        )
        assert len(told.hidden_alerts) == (0 if exposure is None else len(incident["alerts"]))
        return
    hidden = {alert.place - 1 for alert in told.hidden_alerts}
    visible = [alert for place, alert in enumerate(incident["alerts"]) if place not in hidden]
    assert len(left["alerts"]) == told.visible_alert_count == len(visible)
    for key, count in (
        ("devices", told.devices_left_out_count),
        ("entities", told.entities_left_out_count),
    ):
        before = sum(counted(each, key) for each in [incident, *visible])
        after = sum(counted(each, key) for each in [left, *left["alerts"]])
        assert count == before - after


@given(generated_incidents(), assignments)
def test_a_caller_that_sees_less_is_told_of_each_thing_that_is_left_out(
    incident: Document, granted: list[Assignment]
) -> None:
    told = told_to_user(incident, *granted)

    words = " ".join(told.reasons)
    assert words.count("is left out: its devices are in") == len(told.hidden_alerts)
    assert ("devices left out" in words) == (told.devices_left_out_count > 0)
    assert ("entities left out" in words) == (told.entities_left_out_count > 0)


# --- What it says, to a user.


def test_a_user_over_the_whole_tenant() -> None:
    told = told_to_user(an_incident(an_alert("laptops"), an_alert()), an_assignment(role="security-reader"))

    assert told.sees
    assert told.visible_alert_count == 2
    assert told.reasons == (
        "The role security-reader carries view-data, over the whole tenant.",
        "Nothing is left out.",
    )


def test_a_user_who_sees_a_part() -> None:
    shared = a_device("laptops")
    kept = an_alert(
        devices=[shared, a_device("servers")],
        entities=[an_entity(shared), an_entity(a_device("kiosks")), an_entity()],
        alertId="da1",
    )
    hidden = an_alert(devices=[a_device("servers"), {**shared, "rbacGroupId": 13, "rbacGroupName": "kiosks"}])
    incident = an_incident(kept, {**hidden, "alertId": "da2"}, an_alert(alertId="da3"))

    told = told_to_user(
        incident,
        an_assignment(11, "laptops", role="first-line"),
        an_assignment(role="closer", permissions=frozenset({RolePermission.MANAGE_INCIDENTS})),
    )

    assert told.sees
    assert told.reasons == (
        "The role first-line carries view-data, over these device groups: laptops.",
        "The role closer does not carry view-data: it shows nothing.",
        "Of its alerts (3) 2 can be seen: 1 for having no devices, 1 for a device in scope.",
        "Alert 2 (da2) is left out: its devices are in kiosks (number 13), servers (number 12).",
        "Alert 1 (da1): devices left out: 1 of 2, being in servers (number 12).",
        "Alert 1 (da1): entities left out: 1 of 3, naming devices in kiosks (number 13).",
    )
    assert (told.visible_alert_count, len(told.hidden_alerts)) == (2, 1)
    assert (told.devices_left_out_count, told.entities_left_out_count) == (1, 1)
    assert told.hidden_alerts[0].device_groups == ("kiosks (number 13)", "servers (number 12)")


def test_a_user_from_whom_it_is_hidden() -> None:
    told = told_to_user(an_incident(an_alert(None, alertId="da1")), an_assignment(11, "laptops"))

    assert not told.sees
    assert told.reasons[1:] == (
        "It is hidden, none of its alerts (1) being in scope: it is answered 404 as if missing.",
        "Alert 1 (da1) is left out: its devices are in Ungrouped devices.",
    )


def test_a_group_is_named_as_well_as_its_devices_name_it() -> None:
    devices = [
        a_device(None, rbacGroupId=4),
        a_device(None, rbacGroupName="old"),
        a_device(None, rbacGroupId=None, rbacGroupName=""),
    ]

    told = told_to_user(an_incident(an_alert(devices=devices)), an_assignment(11))

    assert told.hidden_alerts[0].device_groups == ("Ungrouped devices", "a group (number 4)", "old")


def test_a_scope_whose_groups_are_gone() -> None:
    nothing_left = Assignment(role="viewer", permissions=VIEWING)

    told = told_to_user(an_incident(an_alert()), nothing_left)

    assert told.sees
    assert told.reasons[0] == "The role viewer carries view-data, over no device group any more."


def test_a_stub_is_seen_by_those_who_see_what_it_leads_to() -> None:
    granted = [an_assignment(11, "laptops")]

    seen, hidden = (
        explain(a_user(granted), granted, a_redirected_stub(9), retained_since=None, inherited=inherited)
        for inherited in ([11], [12])
    )

    assert (seen.sees, hidden.sees) == (True, False)
    assert seen.reasons[1] == "It is a stub, redirected to incident 9, and is seen by those who see that one."
    assert hidden.reasons[1] == (
        "It is a stub, redirected to incident 9, which is hidden or missing, and is hidden with it: it is "
        "answered 404 as if missing."
    )


@pytest.mark.parametrize(
    ("granted", "reason"),
    [
        ((), "The user has no role."),
        (
            (an_assignment(role="closer", permissions=frozenset()),),
            "The role closer does not carry view-data: it shows nothing.",
        ),
    ],
)
def test_a_user_without_view_data_is_refused_whatever_the_incident(
    granted: tuple[Assignment, ...], reason: str
) -> None:
    for incident in (an_incident(), None):
        told = told_to_user(incident, *granted)

        assert not told.sees
        assert told.reasons == (
            reason,
            "Every read is answered 403, whatever the incident: "
            "The user has no role that allows viewing security data.",
        )


def test_a_missing_incident_and_one_past_its_retention() -> None:
    incident = an_incident(lastUpdateTime="2026-02-11T07:52:30.81Z")
    updated = parse_instant("2026-02-11T07:52:30.81Z")

    missing, past, kept = (
        told_to_user(found, an_assignment(), retained_since=Instant(updated + ticks))
        for found, ticks in ((None, 0), (incident, 1), (incident, 0))
    )

    assert not missing.sees
    assert missing.reasons[-1] == "There is no such incident: it is answered 404."
    assert not past.sees
    assert past.reasons[-1] == (
        "It was last updated 2026-02-11T07:52:30.81Z, and the retention reaches back to "
        "2026-02-11T07:52:30.8100001Z: it is answered 404, and will be removed."
    )
    assert kept.sees


# --- What it says, to an application.


@pytest.mark.parametrize("permission", APPLICATION_PERMISSIONS)
def test_an_application_that_may_read_sees_the_whole_tenant(permission: str) -> None:
    told = explain(an_application(permission), (), an_incident(an_alert("servers")), retained_since=None)

    assert told.sees
    assert told.reasons == (
        f"The application has {permission}, and an application sees the whole tenant.",
        "Nothing is left out.",
    )


def test_an_application_without_a_permission_is_told_which() -> None:
    told = explain(an_application("Mail.Read"), (), an_incident(), retained_since=None)

    assert not told.sees
    assert told.reasons == (
        "The application may not read incidents; it needs Incident.Read.All or Incident.ReadWrite.All.",
        "Every read is answered 403, whatever the incident: The token grants none of these permissions: "
        "Incident.Read.All, Incident.ReadWrite.All.",
    )


# --- The command.


@pytest.fixture
def a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenant with an incident of two alerts, a user who sees one of them, and two applications."""
    monkeypatch.chdir(tmp_path)
    done("tenant", "add", "contoso")
    incident = an_incident(an_alert("laptops"), an_alert("servers", alertId="da2"), incidentId=7)
    Path("incident.json").write_bytes(to_json(incident))
    done("import", "incident.json", *CONTOSO)
    done("user", "add", UPN, *CONTOSO)
    done("user", "grant", UPN, *CONTOSO, "--role", "security-reader", "--device-group", "laptops")
    done("app", "add", "reader", *CONTOSO, "--permission", "Incident.Read.All")
    done("app", "add", "bystander", *CONTOSO)


def explained(*arguments: object) -> Any:
    return done("explain", *CONTOSO, *arguments)


@pytest.mark.usefixtures("a_store")
def test_the_command_explains_a_user_in_json() -> None:
    told = explained("--incident", 7, "--user", UPN)

    assert told["sees"] is True
    assert told["caller"] == UPN
    assert told["incident_id"] == 7
    assert told["alerts"] == {"visible": 1, "hidden": 1}
    assert told["hidden_alerts"] == [
        {"place": 2, "alert_id": "da2", "device_groups": ["servers (number 12)"]}
    ]
    assert (told["devices_left_out"], told["entities_left_out"]) == (0, 0)
    assert len(told["reasons"]) == 3


@pytest.mark.usefixtures("a_store")
def test_the_command_explains_in_lines() -> None:
    ended = run("explain", *CONTOSO, "--incident", 7, "--user", UPN)

    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines()[:2] == [
        f"{UPN} sees incident 7.",
        "The role security-reader carries view-data, over these device groups: laptops.",
    ]


@pytest.mark.usefixtures("a_store")
def test_not_seeing_is_an_answer_too() -> None:
    hidden = an_incident(an_alert("servers", alertId="\x1b[31m"), incidentId=8)
    Path("hidden.json").write_bytes(to_json(hidden))
    done("import", "hidden.json", *CONTOSO)

    ended = run("explain", *CONTOSO, "--incident", 8, "--user", UPN)

    assert ended.code == 0
    assert ended.out.startswith(f"{UPN} does not see incident 8.\n")
    assert "\x1b" not in ended.out
    assert explained("--incident", 9, "--user", UPN)["sees"] is False


@pytest.mark.usefixtures("a_store")
def test_the_command_explains_applications() -> None:
    reader, bystander = (explained("--incident", 7, "--app", name) for name in ("reader", "bystander"))

    assert (reader["sees"], bystander["sees"]) == (True, False)
    assert "403" in bystander["reasons"][1]


@pytest.mark.usefixtures("a_store")
def test_retention_is_taken_into_account() -> None:
    Path("vigie.toml").write_text("[retention]\ndays = 1\n", encoding="utf-8")

    assert explained("--incident", 7, "--app", "reader")["sees"] is False


@pytest.mark.usefixtures("a_store")
@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (("--incident", "7"), 2, "exactly one of --user and --app"),
        (("--incident", "7", "--user", UPN, "--app", "reader"), 2, "exactly one of --user and --app"),
        (("--incident", "x", "--user", UPN), 2, "expected integer, got 'x'"),
        (("--incident", "0", "--user", UPN), 2, "an incident id must be 1 to 9223372036854775807; it was 0"),
        (("--incident", "7", "--user", "eve"), 1, "there is no user 'eve' in contoso"),
        (("--incident", "7", "--app", "none"), 1, "there is no application 'none' in contoso"),
    ],
)
def test_a_question_that_cannot_be_answered_is_one_line(
    arguments: tuple[str, ...], code: int, reason: str
) -> None:
    ended = run("explain", *CONTOSO, *arguments)

    assert ended.code == code
    assert reason in ended.refusal


@pytest.mark.parametrize("group_count", [0, 1, 3])
def test_it_says_sees_exactly_when_reading_finds_something(tmp_path: Path, group_count: int) -> None:
    documents = list(generate(150, seed=5))
    scope = frozenset(sorted(labels_in(documents), key=str)[:group_count])
    assignment = Assignment(role="viewer", permissions=VIEWING, device_groups=scope)

    found = asyncio.run(found_by(tmp_path, documents, Exposure(device_groups=scope)))

    by_number = {each["incidentId"]: each for each in documents}
    told = [
        explain(
            a_user([assignment]),
            [assignment],
            document,
            retained_since=None,
            inherited=inherited_by(document, by_number),
        ).sees
        for document in documents
    ]
    assert told == [document is not None for document in found]
    assert set(told) == {True, False}


def labels_in(documents: list[Document]) -> set[DeviceGroupLabel]:
    """Some groups that devices are in."""
    devices = [device for each in documents for alert in each["alerts"] for device in alert["devices"]]
    return {
        device.get("rbacGroupId") or device.get("rbacGroupName") or "Ungrouped devices" for device in devices
    }


async def found_by(directory: Path, documents: list[Document], exposure: Exposure) -> list[bytes | None]:
    async with opened(settings_in(directory), create=True) as installation:
        tenant = await installation.directory.add_tenant("contoso", guid=None, domain=None)
        await installation.incidents.put_incidents(tenant.tenant_id, map(keep_document, documents), CONTEXT)
        return [
            await installation.incidents.find_incident(tenant.tenant_id, each["incidentId"], exposure)
            for each in documents
        ]
