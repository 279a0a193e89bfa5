"""A naive model beside the real process: the same imports, updates, lists and reads, and every answer agrees."""

import gzip
import http.client
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from tests.support.builders import GROUP_NUMBERS, Document, a_device, an_alert, an_entity
from tests.support.commands import done, run, served
from tests.support.stores import database_in, keys_in
from vigie.core.instants import parse_instant

GROUPS = ("laptops", "servers", None)
STATUSES = ("Active", "InProgress", "Resolved")
ASSIGNEES = (None, "ines@contoso.example", "o'neill@contoso.example")
SCOPES: dict[str, frozenset[str | None] | None] = {
    "everything": None,
    "laptops": frozenset({"laptops"}),
    "servers": frozenset({"servers"}),
    "both": frozenset({"laptops", "servers"}),
}
NUMBERS = st.integers(1, 12)
PAGE_SIZE = 100

Filter = tuple[str, Callable[[Document], bool]]


def a_time(minute: int, tick: int) -> str:
    fraction = f".{tick:07}".rstrip("0") if tick else ""
    return f"2026-03-01T{minute // 60:02}:{minute % 60:02}:00{fraction}Z"


@st.composite
def incidents(draw: st.DrawFn) -> Document:
    """An incident of few alerts, under one of few numbers, at one of few times: so that things meet."""
    number = draw(NUMBERS)
    created, changed = sorted(draw(st.tuples(st.integers(0, 90), st.integers(0, 90))))
    groups = draw(st.lists(st.lists(st.sampled_from(GROUPS), max_size=2), max_size=3))
    alerts = [an_alert(incidentId=number, devices=[a_device(each) for each in alert]) for alert in groups]
    devices = [device for alert in alerts for device in alert["devices"]]
    for alert in alerts:
        alert["entities"] = (
            [an_entity(each) for each in draw(st.lists(st.sampled_from(devices), max_size=2))]
            if devices
            else []
        )
    status = draw(st.sampled_from(STATUSES))
    return {
        "incidentId": number,
        "redirectIncidentId": None if alerts else draw(NUMBERS),
        "incidentName": draw(st.text(max_size=8)),
        "createdTime": a_time(created, draw(st.sampled_from([0, 1, 4_400_000]))),
        "lastUpdateTime": a_time(changed, draw(st.sampled_from([0, 1, 4_400_000]))),
        "assignedTo": draw(st.sampled_from(ASSIGNEES)),
        "classification": "Unknown",
        "determination": "NotAvailable",
        "status": status if alerts else "Redirected",
        "severity": "High" if alerts else "UnSpecified",
        "tags": [],
        "comments": [],
        "alerts": alerts,
    }


def filters() -> st.SearchStrategy[Filter]:
    """A filter as its text and as a question about an incident."""
    times = st.builds(a_time, st.integers(0, 90), st.sampled_from([0, 1]))
    leaves = st.one_of(
        st.builds(
            _time_filter,
            st.sampled_from(["lastUpdateTime", "createdTime"]),
            st.sampled_from(["gt", "ge", "lt", "le"]),
            times,
        ),
        st.builds(
            _equality,
            st.just("status"),
            st.sampled_from(["eq", "ne"]),
            st.sampled_from([*STATUSES, "Redirected"]),
        ),
        st.builds(
            _equality, st.just("assignedTo"), st.sampled_from(["eq", "ne"]), st.sampled_from(ASSIGNEES)
        ),
    )
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.builds(_both, inner, inner), st.builds(_either, inner, inner), st.builds(_no, inner)
        ),
        max_leaves=4,
    )


def _time_filter(name: str, operator: str, time: str) -> Filter:
    instant = parse_instant(time)
    compare: dict[str, Callable[[int], bool]] = {
        "gt": lambda value: value > instant,
        "ge": lambda value: value >= instant,
        "lt": lambda value: value < instant,
        "le": lambda value: value <= instant,
    }
    return f"{name} {operator} {time}", lambda incident: compare[operator](parse_instant(incident[name]))


def _equality(name: str, operator: str, value: str | None) -> Filter:
    literal = "null" if value is None else "'{}'".format(value.replace("'", "''"))
    return f"{name} {operator} {literal}", lambda incident: (incident[name] == value) == (operator == "eq")


def _both(left: Filter, right: Filter) -> Filter:
    return f"({left[0]}) and ({right[0]})", lambda incident: left[1](incident) and right[1](incident)


def _either(left: Filter, right: Filter) -> Filter:
    return f"({left[0]}) or ({right[0]})", lambda incident: left[1](incident) or right[1](incident)


def _no(inner: Filter) -> Filter:
    return f"not ({inner[0]})", lambda incident: not inner[1](incident)


class Model:
    """What the server should know, kept in the simplest way there is."""

    def __init__(self) -> None:
        self.incidents: dict[int, Document] = {}

    def visible(self, number: int, scope: frozenset[str | None] | None) -> Document | None:
        """The part of an incident that is in scope."""
        incident = self.incidents.get(number)
        if incident is None or scope is None:
            return incident
        out = {
            device["mdatpDeviceId"]
            for alert in incident["alerts"]
            for device in alert["devices"]
            if device["rbacGroupName"] not in scope
        }
        alerts = [
            {
                **alert,
                "devices": [each for each in alert["devices"] if each["mdatpDeviceId"] not in out],
                "entities": [each for each in alert["entities"] if each.get("deviceId") not in out],
            }
            for alert in incident["alerts"]
            if not alert["devices"] or any(each["mdatpDeviceId"] not in out for each in alert["devices"])
        ]
        if not incident["alerts"]:
            return incident if self._target_is_visible(incident, scope) else None
        return {**incident, "alerts": alerts} if alerts else None

    def _target_is_visible(self, stub: Document, scope: frozenset[str | None] | None) -> bool:
        passed: list[int] = []
        target: Document | None = stub
        while target is not None and not target["alerts"] and target["incidentId"] not in passed:
            passed.append(target["incidentId"])
            target = self.incidents.get(target["redirectIncidentId"])
        return bool(target and target["alerts"] and self.visible(target["incidentId"], scope))

    def listed(
        self, scope: frozenset[str | None] | None, matches: Callable[[Document], bool]
    ) -> list[Document]:
        """What a list answers, over all pages: newest first, then by number."""
        seen = [self.visible(number, scope) for number in sorted(self.incidents)]
        found = [each for each in seen if each is not None and matches(each)]
        return sorted(found, key=lambda each: -parse_instant(each["lastUpdateTime"]))


class Comparison(RuleBasedStateMachine):
    """The model and the process, told the same."""

    updated = Bundle("updated")

    @initialize()
    def start(self) -> None:
        self.model = Model()
        self.stack = ExitStack()
        folder = Path(tempfile.mkdtemp(prefix="vigie-model-"))
        self.stack.callback(shutil.rmtree, folder, ignore_errors=True)
        self.file = folder / "incidents.jsonl"
        self.store = database_in(folder).url
        # Where there is none, the keys lie beside the store.
        os.environ["VIGIE_KEYS_SECRET_FILE"] = keys_in(folder).secret_file
        self.stack.callback(os.environ.pop, "VIGIE_KEYS_SECRET_FILE")
        self._tell("tenant", "add", "Contoso", "--domain", "contoso.example")
        self._tell("app", "add", "writer", "--tenant", "Contoso", "--permission", "Incident.ReadWrite.All")
        for name in ("laptops", "servers"):
            # With its number: what an import teaches about a group is seen a moment later, as the documents say.
            self._tell("device-group", "add", name, "--tenant", "Contoso", "--id", GROUP_NUMBERS[name])
        config = folder / "vigie.toml"
        config.write_text(
            f'[keys]\nsecret_file = "{keys_in(folder).secret_file}"\n[quotas]\n'
            + "".join(
                f"{call}_per_{span} = 1000000\n"
                for call in ("get", "list", "update")
                for span in ("minute", "hour")
            )
        )
        tokens = {name: self._user(name, scope) for name, scope in SCOPES.items()}
        self.tokens: dict[str, str] = tokens
        _, said = self.stack.enter_context(
            served("--database", self.store, "--config", config, "--host", "127.0.0.1", "--port", 0)
        )
        self.place = urlsplit(said["url"]).netloc

    def teardown(self) -> None:
        if hasattr(self, "stack"):
            self.stack.close()

    @rule(batch=st.lists(incidents(), min_size=1, max_size=6, unique_by=lambda each: each["incidentId"]))
    def import_some(self, batch: list[Document]) -> None:
        self.file.write_text("".join(f"{json.dumps(each)}\n" for each in batch), encoding="utf-8")

        told = self._tell("import", self.file, "--tenant", "Contoso")

        known = sum(each["incidentId"] in self.model.incidents for each in batch)
        assert told == {
            "read": len(batch),
            "added": len(batch) - known,
            "replaced": known,
            "refused": 0,
            "errors": [],
        }
        self.model.incidents |= {each["incidentId"]: each for each in batch}

    @rule(number=NUMBERS, name=st.sampled_from(sorted(SCOPES)))
    def read_one(self, number: int, name: str) -> None:
        status, answer = self._call("GET", f"/api/incidents/{number}", name)

        expected = self.model.visible(number, SCOPES[name])
        assert status == (404 if expected is None else 200)
        if expected is not None:
            assert _without_context(answer) == expected

    @rule(
        chosen=st.one_of(st.none(), filters()),
        name=st.sampled_from(sorted(SCOPES)),
        top=st.integers(1, 5),
        skip=st.integers(0, 4),
    )
    def list_some(self, chosen: Filter | None, name: str, top: int, skip: int) -> None:
        query = f"$top={top}&$skip={skip}&$count=true"
        if chosen is not None:
            query += f"&$filter={quote(chosen[0])}"

        status, answer = self._call("GET", f"/api/incidents?{query}", name)

        expected = self.model.listed(SCOPES[name], chosen[1] if chosen else lambda _: True)
        assert status == 200, answer
        assert answer["value"] == expected[skip : skip + top]
        assert answer["@odata.count"] == len(expected)

    @rule(
        number=NUMBERS,
        name=st.sampled_from(sorted(SCOPES)),
        status=st.sampled_from(STATUSES),
        assignee=st.sampled_from(["", *ASSIGNEES]),
        comment=st.one_of(st.none(), st.text("abc é\n", min_size=1, max_size=5).filter(str.strip)),
    )
    def update_one(
        self, number: int, name: str, status: str, assignee: str | None, comment: str | None
    ) -> None:
        body: dict[str, Any] = {"status": status, "assignedTo": assignee}
        if comment is not None:
            body["comment"] = comment

        answered, answer = self._call("PATCH", f"/api/incidents/{number}", name, body)

        before = self.model.visible(number, SCOPES[name])
        if before is None:
            assert answered == 404
        elif before["status"] == "Redirected":
            assert answered == 403
        else:
            assert answered == 200, answer
            self._take_over(number, name, body, _without_context(answer))

    @invariant()
    def pages_together_are_the_whole(self) -> None:
        if not hasattr(self, "place") or not self.model.incidents:
            return
        _, answer = self._call("GET", "/api/incidents", "everything")
        assert [each["incidentId"] for each in answer["value"]] == [
            each["incidentId"] for each in self.model.listed(None, lambda _: True)[:PAGE_SIZE]
        ]

    def _take_over(self, number: int, name: str, body: dict[str, Any], answer: Document) -> None:
        """The model takes the moments from the answer, after seeing that they go forward; all else is its own."""
        incident = self.model.incidents[number]
        newest = max(parse_instant(each["lastUpdateTime"]) for each in self.model.incidents.values())
        assert parse_instant(answer["lastUpdateTime"]) > newest
        changed = {
            **incident,
            "lastUpdateTime": answer["lastUpdateTime"],
            "status": body["status"],
            "assignedTo": body["assignedTo"] or None,
        }
        if "comment" in body:
            comment = {
                "comment": body["comment"],
                "createdBy": f"{name}@contoso.example",
                "createdTime": answer["lastUpdateTime"],
            }
            changed["comments"] = [*incident["comments"], comment]
        self.model.incidents[number] = changed
        assert answer == self.model.visible(number, SCOPES[name])

    def _user(self, name: str, scope: frozenset[str | None] | None) -> str:
        upn = f"{name}@contoso.example"
        groups = [part for group in sorted(map(str, scope or ())) for part in ("--device-group", group)]
        self._tell("user", "add", upn, "--tenant", "Contoso")
        self._tell("user", "grant", upn, "--tenant", "Contoso", "--role", "security-operator", *groups)
        ended = run(
            "token",
            "--tenant",
            "Contoso",
            "--user",
            upn,
            "--scope",
            "Incident.ReadWrite",
            "--database",
            self.store,
        )
        assert ended.code == 0, ended.err
        return ended.out.strip()

    def _tell(self, *arguments: object) -> Any:
        return done(*arguments, "--database", self.store)

    def _call(self, method: str, path: str, name: str, body: object = None) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {self.tokens[name]}", "Accept-Encoding": "gzip"}
        text = None if body is None else json.dumps(body).encode()
        if text is not None:
            headers["Content-Type"] = "application/json"
        connection = http.client.HTTPConnection(self.place, timeout=20)
        try:
            connection.request(method, path, text, headers)
            response = connection.getresponse()
            content = response.read()
            if response.getheader("Content-Encoding") == "gzip":
                content = gzip.decompress(content)
            return response.status, json.loads(content)
        finally:
            connection.close()


def _without_context(answer: Document) -> Document:
    assert next(iter(answer)) == "@odata.context"
    return {key: value for key, value in answer.items() if key != "@odata.context"}


@pytest.mark.timeout(300)
def test_the_process_answers_like_a_naive_model() -> None:
    run_state_machine_as_test(
        Comparison,
        settings=settings(
            max_examples=10,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            # Each run of an example starts a process: shrinking would take the better part of an hour.
            phases=(Phase.generate,),
            database=None,
        ),
    )
