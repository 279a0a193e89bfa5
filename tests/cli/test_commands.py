"""The commands: what each of them does, answers and refuses, and that all of them are documented."""

import asyncio
import dataclasses
import os
import re
import shlex
import shutil
import sqlite3
from contextlib import closing
from importlib import import_module
from inspect import isfunction
from itertools import chain
from pathlib import Path
from typing import Any

import jwt
import pytest
from cyclopts import Argument

from tests.support.builders import an_alert, an_audit_context, an_incident, to_json
from tests.support.client_certificates import certified
from tests.support.commands import Ended, done, on_a_terminal, run, run_program, served, shown_until
from tests.support.paths import DOCS
from vigie.cli.command_table import COMMANDS, COMMON_OPTIONS, FAMILIES, GROUPS, Command
from vigie.cli.common import Common
from vigie.cli.main import program
from vigie.config.settings import Settings
from vigie.config.sources import example_file
from vigie.core.access import APPLICATION_PERMISSIONS
from vigie.core.lockout import LockOut, digest_of_name
from vigie.documents.defender.reading import keep_incident
from vigie.identity.keys.key_ring import load_keys
from vigie.identity.tokens.access_tokens import USER_CLIENT_ID
from vigie.runtime.clock import now
from vigie.runtime.installation import opened
from vigie.storage.statements import migrations
from vigie.storage.transfer import COPYING

DOCUMENT = DOCS / "commands.md"
GUID = "3b0f6c1a-52d7-4c0e-9c57-0a4e6f1d2b88"
UPN = "ada@contoso.example"
PASSWORD = "a quiet harbour at noon"
OF_CONTOSO = ("--tenant", "contoso")
INCIDENT = to_json(an_incident(an_alert("laptops"), incidentId=1))
INCIDENTS_API = "https://api.security.microsoft.com"
CERTIFICATE = certified()

# One call of every command that succeeds in `an_installation`; no command may be missing here.
EVERY_COMMAND: dict[str, tuple[str, ...]] = {
    "init": ("elsewhere",),
    "serve": ("--port", "0"),
    "migrate": (),
    "backup": ("kept.sqlite3",),
    "copy": ("--to", "sqlite:///copied.sqlite3"),
    "demo": ("--once", "--port", "0"),
    "status": (),
    "config check": (),
    "tenant add": ("fabrikam",),
    "tenant list": (),
    "tenant remove": ("contoso", "--yes"),
    "app add": ("writer", *OF_CONTOSO),
    "app set": ("reader", *OF_CONTOSO, "--redirect-uri", "https://contoso.example/back"),
    "app list": OF_CONTOSO,
    "app remove": ("reader", *OF_CONTOSO, "--yes"),
    "app rotate-secret": ("reader", *OF_CONTOSO),
    "app add-certificate": ("reader", "new.pem", *OF_CONTOSO),
    "app list-certificates": ("reader", *OF_CONTOSO),
    "app remove-certificate": ("reader", CERTIFICATE.thumbprint, *OF_CONTOSO, "--yes"),
    "role add": ("watcher", *OF_CONTOSO, "--permission", "view-data"),
    "role list": OF_CONTOSO,
    "role remove": ("viewer", *OF_CONTOSO, "--yes"),
    "user add": ("eve@contoso.example", *OF_CONTOSO),
    "user list": OF_CONTOSO,
    "user grant": (UPN, *OF_CONTOSO, "--role", "security-reader"),
    "user revoke": (UPN, *OF_CONTOSO),
    "user remove": (UPN, *OF_CONTOSO, "--yes"),
    "user set-password": (UPN, *OF_CONTOSO),
    "user remove-password": (UPN, *OF_CONTOSO, "--yes"),
    "user unlock": (UPN, *OF_CONTOSO),
    "user sign-out": (UPN, *OF_CONTOSO),
    "device-group add": ("servers", *OF_CONTOSO),
    "device-group list": OF_CONTOSO,
    "device-group remove": ("laptops", *OF_CONTOSO, "--yes"),
    "token": (*OF_CONTOSO, "--app", "reader"),
    "issuer set": ("https://vigie.example",),
    "webhook add": ("https://hooks.example/vigie", *OF_CONTOSO),
    "webhook list": OF_CONTOSO,
    "webhook retry": ("soar", *OF_CONTOSO),
    "webhook remove": ("soar", *OF_CONTOSO, "--yes"),
    "keys rotate": (),
    "keys list": (),
    "import": ("incidents.jsonl", *OF_CONTOSO),
    "export": (*OF_CONTOSO, "--out", "out.jsonl"),
    "generate": ("--incidents", "1", "--seed", "1"),
    "explain": (*OF_CONTOSO, "--incident", "1", "--user", UPN),
    "history": (*OF_CONTOSO, "--incident", "1"),
    "watch": (*OF_CONTOSO, "--from", "0", "--no-follow"),
    "incident list": OF_CONTOSO,
    "incident show": ("1", *OF_CONTOSO),
    "evidence find": ("a0b1c2d3e4f5061728394a5b6c7d8e9f00112233", *OF_CONTOSO),
    "incident remove": ("1", *OF_CONTOSO, "--yes"),
    "--install-completion": ("--shell", "bash", "--output", "vigie.bash"),
}
THAT_TAKE_AWAY = (
    "app remove",
    "app remove-certificate",
    "device-group remove",
    "incident remove",
    "role remove",
    "tenant remove",
    "user remove",
    "user remove-password",
    "webhook remove",
)

THAT_MAKE_A_STORE = ("init", "serve", "demo", "tenant add", "keys rotate")
THAT_NEED_NO_STORE = ("generate", "--install-completion", "config check")

every_command_in_turn = pytest.mark.parametrize("command", EVERY_COMMAND)


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a store in it, as `an_installation` hands out copies of."""
    directory = tmp_path_factory.mktemp("made-once")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        done("tenant", "add", "contoso", "--id", GUID, "--domain", "contoso.example")
        Path("old.pem").write_bytes(CERTIFICATE.pem)
        Path("new.pem").write_bytes(certified().pem)
        reader = ("reader", "--permission", "Incident.Read.All", "--certificate", "old.pem", "--secret")
        done("app", "add", *reader, *OF_CONTOSO)
        done("role", "add", "viewer", *OF_CONTOSO, "--permission", "view-data")
        done("user", "add", UPN, *OF_CONTOSO)
        done("device-group", "add", "laptops", *OF_CONTOSO, "--id", 11)
        done("user", "grant", UPN, *OF_CONTOSO, "--role", "viewer", "--device-group", "laptops")
        done("user", "set-password", UPN, *OF_CONTOSO, stdin=f"{PASSWORD}\n")
        done("webhook", "add", "https://soar.example/vigie", "--name", "soar", *OF_CONTOSO)
        done("keys", "rotate")
        Path("incidents.jsonl").write_bytes(INCIDENT)
        asyncio.run(put_incident("contoso"))
    return directory


@pytest.fixture
def an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with nothing in it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def an_installation(an_empty_directory: Path, made_once: Path) -> Path:
    """The working directory, with a tenant contoso and one of everything in it."""
    shutil.copytree(made_once, an_empty_directory, dirs_exist_ok=True)
    return an_empty_directory


# All of them


def test_every_command_is_tried_here() -> None:
    assert sorted(EVERY_COMMAND) == sorted(each.name for each in COMMANDS)


@pytest.mark.parametrize(("name", "path"), [(each.name, each.path) for each in COMMANDS])
def test_behind_every_command_is_a_function_that_says_what_it_does(name: str, path: str) -> None:
    module, _, function = path.partition(":")

    command = getattr(import_module(module), function, None)

    assert isfunction(command), name
    assert command.__doc__


@every_command_in_turn
def test_every_command_takes_the_common_options(command: str) -> None:
    assert {"--config", "--database", "--json", "--debug"} <= {each.name for each in arguments_of(command)}


@every_command_in_turn
def test_every_command_and_argument_says_what_it_is_for(command: str) -> None:
    for sentence in (row_of(command).help, *(each.parameter.help for each in arguments_of(command))):
        assert re.fullmatch(r"[A-Z].*[.]", sentence or "")


@every_command_in_turn
def test_the_help_of_every_command_says_what_each_option_takes(command: str) -> None:
    said = run(*command.split(), "--help").out

    assert not re.search(r"\b(CHOICE|STR|INT|PATH|LIST)\b", said)
    assert ("  --tls auto|off: " in said) == (command in ("init", "serve"))


@every_command_in_turn
def test_the_help_of_every_command_ends_in_an_example_that_the_program_understands(command: str) -> None:
    example = row_of(command).example

    program().parse_args(shlex.split(example)[1:], exit_on_error=False, print_error=False)

    assert example.startswith(f"vigie {command}")
    assert run(*command.split(), "--help").out.endswith(f"\nExample:\n  {example}\n")


def test_the_help_shows_every_command_in_its_group() -> None:
    panels = dict(re.findall(r"^([A-Z][\w-]+):\n((?:  .*\n)+)", run("--help").out, re.MULTILINE))

    shown = {title: tuple(re.findall(r"^  (\S+): ", panels[title], re.MULTILINE)) for title in GROUPS}

    assert shown == GROUPS


@pytest.mark.usefixtures("an_installation")
@every_command_in_turn
def test_with_json_stdout_is_json_only(command: str) -> None:
    if command == "serve":
        with served("--port", "0") as (_, said):
            assert set(said) == {"url"}
        return

    ended = end_of(command, "--json")

    assert ended.code == 0, ended.err
    assert isinstance(ended.json, dict | list)


@pytest.mark.usefixtures("an_installation")
@pytest.mark.parametrize("command", sorted(set(EVERY_COMMAND) - {"serve", "demo"}))
def test_the_common_options_may_come_before_every_command_and_inside_it(command: str) -> None:
    first, *others = command.split()
    database = ("--database", "sqlite:///.vigie/vigie.sqlite3")

    ended = run("--json", first, *database, *others, *EVERY_COMMAND[command], stdin=f"{PASSWORD}\n")

    assert ended.code == 0, ended.err
    assert isinstance(ended.json, dict | list)


def test_the_options_that_may_come_before_a_command_are_those_that_every_command_takes() -> None:
    fields = {f"--{field.name}" for field in dataclasses.fields(Common)}

    assert fields == set(COMMON_OPTIONS)


@pytest.mark.usefixtures("an_installation")
@pytest.mark.parametrize("command", sorted(set(EVERY_COMMAND) - {"serve", "demo"}))
def test_without_json_every_command_says_something_or_nothing_and_ends_well(command: str) -> None:
    ended = end_of(command)

    assert ended.code == 0, ended.err
    assert "\x1b" not in ended.out
    assert all(line == line.rstrip() for line in ended.out.splitlines())


@pytest.mark.usefixtures("an_empty_directory")
@pytest.mark.parametrize("command", sorted({*EVERY_COMMAND} - {*THAT_MAKE_A_STORE, *THAT_NEED_NO_STORE}))
def test_every_other_command_says_that_there_is_no_store_and_makes_none(command: str) -> None:
    Path("new.pem").write_bytes(CERTIFICATE.pem)

    ended = end_of(command)

    assert ended.code == 1
    assert ended.refusal == (
        "vigie: there is no database at .vigie/vigie.sqlite3; `vigie init` or `vigie tenant add` makes one"
    )
    assert not Path(".vigie").exists()


@pytest.mark.usefixtures("an_empty_directory")
@pytest.mark.parametrize("command", sorted({*THAT_MAKE_A_STORE} - {"serve"}))
def test_what_starts_an_installation_makes_the_store(command: str) -> None:
    ended = end_of(command)

    assert ended.code == 0
    assert list(Path().rglob("vigie.sqlite3")) != []


@pytest.mark.usefixtures("an_installation")
@pytest.mark.parametrize("command", THAT_TAKE_AWAY)
def test_what_removes_asks_and_without_a_terminal_does_nothing(command: str) -> None:
    before = dump_of_store()

    ended = run(*command.split(), *(each for each in EVERY_COMMAND[command] if each != "--yes"))

    assert ended.code == 1
    assert "use --yes" in ended.refusal
    assert dump_of_store() == before


@pytest.mark.usefixtures("an_installation")
@pytest.mark.parametrize(
    "command", sorted({*EVERY_COMMAND} - {"init", "serve", "demo"} - {*THAT_NEED_NO_STORE})
)
def test_every_command_works_on_the_store_that_is_named(command: str) -> None:
    Path(".vigie").rename("moved")

    ended = end_of(command, "--database", "sqlite:///moved/vigie.sqlite3")

    assert ended.code == 0, ended.err
    assert not Path(".vigie").exists()


@pytest.mark.usefixtures("an_installation")
@pytest.mark.parametrize("command", sorted(set(EVERY_COMMAND) - {"--install-completion"}))
def test_an_argument_that_is_no_utf_8_is_refused_and_named(command: str) -> None:
    for arguments, named in (
        (("--tenant", "\udcff"), "--tenant must be UTF-8: '\\xff'"),
        (("--tenant=a\udce9b",), "--tenant must be UTF-8: '--tenant=a\\xe9b'"),
        (("\udcff",), "an argument must be UTF-8: '\\xff'"),
    ):
        ended = run(*command.split(), *arguments)

        assert ended.code == 2
        assert ended.refusal.startswith(f"vigie: {named}; see `vigie ")


def test_bytes_that_are_no_utf_8_reach_the_program_and_are_refused() -> None:
    ended = run_program("tenant", "list", "--config", "\udcff")

    assert (ended.code, ended.refusal) == (
        2,
        "vigie: --config must be UTF-8: '\\xff'; see `vigie tenant list --help`",
    )


@pytest.mark.usefixtures("an_installation")
@pytest.mark.parametrize("command", sorted({*EVERY_COMMAND} - {"demo", *THAT_NEED_NO_STORE}))
def test_a_password_on_the_command_line_is_refused_with_the_ways_out(command: str) -> None:
    ended = end_of(command, "--database", "postgresql://ana:hunter2@127.0.0.1:1/vigie")

    assert ended.code == 2
    assert "vigie: --database: a password must not be on the command line" in ended.err
    assert all(each in ended.err for each in ("PGPASSFILE", "passfile=", "PGPASSWORD", "VIGIE_DATABASE"))
    assert "hunter2" not in ended.err


@pytest.mark.usefixtures("an_installation")
@pytest.mark.parametrize("option", ["--from", "--to"])
def test_what_is_wrong_with_a_store_to_copy_is_said_of_its_own_option(option: str) -> None:
    other = () if option == "--to" else ("--to", "sqlite:///copied.sqlite3")

    refusals = [
        run("copy", option, f"postgresql://{place}/vigie", *other).refusal
        for place in ("ana:hunter2@db", "[::1")
    ]

    assert refusals[0].startswith(f"vigie: {option}: a password must not be on the command line")
    assert refusals[1].startswith(f"vigie: {option}: [database] url = ")


@pytest.mark.usefixtures("an_installation")
@pytest.mark.parametrize("command", sorted({*EVERY_COMMAND} - {"copy", "demo", "init", *THAT_NEED_NO_STORE}))
def test_no_command_works_on_a_copy_that_is_not_finished(command: str) -> None:
    with closing(sqlite3.connect(".vigie/vigie.sqlite3")) as store, store:
        store.execute("INSERT INTO installation VALUES (?, 'under way')", (COPYING,))
    before = dump_of_store()

    ended = end_of(command)

    assert ended.code == 1
    assert "vigie: the database is an unfinished copy; run the same `vigie copy` again" in ended.err
    assert dump_of_store() == before


def test_every_command_and_option_is_documented() -> None:
    for each in COMMANDS:
        assert f"\n{section_of(each)}\n" in DOCUMENT.read_text(encoding="utf-8"), each.name


def test_no_other_command_is_documented() -> None:
    documented = re.findall(r"^### `vigie (.+?)`$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)

    assert documented == [usage_of(each.name) for each in COMMANDS]


def test_every_command_stands_in_a_family_and_a_group_that_exist() -> None:
    assert {each.name.split()[0] for each in COMMANDS if " " in each.name} == set(FAMILIES)
    assert {each.name.split()[0] for each in COMMANDS} == set(chain(*GROUPS.values()))


# Tenants


@pytest.mark.usefixtures("an_empty_directory")
def test_a_tenant_is_added_listed_and_removed() -> None:
    added = done("tenant", "add", "Contoso Ltd", "--id", GUID.upper(), "--domain", "Contoso.Example")

    assert added == {"id": GUID, "name": "Contoso Ltd", "domain": "contoso.example"}
    assert done("tenant", "list") == [added]
    assert run("tenant", "list").out == f"{GUID}\tContoso Ltd\tcontoso.example\n"
    assert done("tenant", "remove", GUID, "--yes") == {"incidents": 0}
    assert done("tenant", "list") == []


@pytest.mark.usefixtures("an_installation")
def test_a_tenant_goes_with_its_incidents_and_with_those_of_no_other() -> None:
    done("tenant", "add", "fabrikam")
    asyncio.run(put_incident("fabrikam"))

    assert done("tenant", "remove", "contoso.example", "--yes") == {"incidents": 1}
    assert [tenant["name"] for tenant in done("tenant", "list")] == ["fabrikam"]
    assert done("tenant", "remove", "fabrikam", "--yes") == {"incidents": 1}


# Applications


@pytest.mark.usefixtures("an_installation")
def test_an_application_is_added_with_a_secret_that_is_shown_once() -> None:
    added = done("app", "add", "writer", *OF_CONTOSO, *permissions(*APPLICATION_PERMISSIONS))

    assert set(added) == {
        *("tenant_id", "client_id", "client_secret", "permissions", "certificates"),
        *("redirect_uris", "public_client"),
    }
    assert (added["tenant_id"], added["permissions"]) == (GUID, list(APPLICATION_PERMISSIONS))
    assert added["client_secret"] not in run("app", "list", *OF_CONTOSO, "--json").out
    assert added["client_id"] in [each["client_id"] for each in done("app", "list", *OF_CONTOSO)]


@pytest.mark.usefixtures("an_installation")
def test_an_application_may_have_no_permission() -> None:
    assert done("app", "add", "bystander", *OF_CONTOSO)["permissions"] == []


@pytest.mark.usefixtures("an_installation")
def test_a_new_secret_says_until_when_the_old_one_is_valid() -> None:
    rotated = done("app", "rotate-secret", "reader", *OF_CONTOSO, "--overlap", 0)

    assert set(rotated) == {"tenant_id", "client_id", "client_secret", "old_secret_valid_until"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", rotated["old_secret_valid_until"])
    assert run("app", "rotate-secret", "reader", *OF_CONTOSO, "--overlap", -1).code == 2


@pytest.mark.usefixtures("an_installation")
def test_an_application_is_removed() -> None:
    assert done("app", "remove", "reader", *OF_CONTOSO, "--yes") == {}
    assert done("app", "list", *OF_CONTOSO) == []


@pytest.mark.usefixtures("an_installation")
def test_a_public_client_gets_no_secret_and_may_be_given_addresses() -> None:
    uris = ("https://Contoso.Example/back", "msal1://auth")
    addresses = tuple(chain.from_iterable(("--redirect-uri", uri) for uri in uris))

    added = done(
        "app", "add", "desk", *OF_CONTOSO, "--public-client", *addresses, *permissions("Incident.Read")
    )

    assert (added["client_secret"], added["public_client"]) == (None, True)
    assert tuple(added["redirect_uris"]) == uris
    assert added["permissions"] == ["Incident.Read"]


@pytest.mark.usefixtures("an_installation")
@pytest.mark.parametrize("more", [("--secret",), ("--certificate", "new.pem")])
def test_a_public_client_can_keep_nothing_that_would_prove_it(more: tuple[str, ...]) -> None:
    ended = run("app", "add", "desk", *OF_CONTOSO, "--public-client", *more)

    assert (ended.code, "a public client has no credentials" in ended.refusal) == (2, True)


@pytest.mark.usefixtures("an_installation")
def test_what_is_named_is_changed_of_an_application_and_the_rest_stays() -> None:
    back = "https://contoso.example/back"

    first = done("app", "set", "reader", *OF_CONTOSO, "--redirect-uri", back)
    second = done("app", "set", "reader", *OF_CONTOSO, *permissions("Incident.Read"))
    third = done("app", "set", "reader", *OF_CONTOSO, "--no-redirect-uri", "--public-client")
    fourth = done("app", "set", "reader", *OF_CONTOSO, "--no-permission", "--confidential-client")

    assert fourth in done("app", "list", *OF_CONTOSO)
    told = [
        (each["permissions"], each["redirect_uris"], each["public_client"])
        for each in (first, second, third, fourth)
    ]
    assert told == [
        (["Incident.Read.All"], [back], False),
        (["Incident.Read"], [back], False),
        (["Incident.Read"], [], True),
        ([], [], False),
    ]


@pytest.mark.usefixtures("an_installation")
@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--redirect-uri", "https://contoso.example/", "--no-redirect-uri"),
        ("--permission", "Incident.Read", "--no-permission"),
        ("--public-client", "--confidential-client"),
        ("--permission", "Everything"),
    ],
)
def test_a_change_that_says_nothing_or_contradicts_itself_is_none(arguments: tuple[str, ...]) -> None:
    assert run("app", "set", "reader", *OF_CONTOSO, *arguments).code == 2


@pytest.mark.usefixtures("an_installation")
def test_an_address_that_people_must_not_be_sent_to_is_refused() -> None:
    ended = run("app", "set", "reader", *OF_CONTOSO, "--redirect-uri", "http://contoso.example/back")

    assert (ended.code, "use https" in ended.refusal) == (1, True)


# Passwords


@pytest.mark.usefixtures("an_installation")
def test_a_password_is_read_from_stdin_and_never_shown() -> None:
    ended = run("user", "set-password", UPN, *OF_CONTOSO, stdin="another quiet harbour\nand more\n")

    assert (ended.code, ended.out) == (0, "")
    assert "harbour" not in ended.err
    assert done("user", "remove-password", UPN, *OF_CONTOSO, "--yes") == {}
    assert "has no password" in run("user", "remove-password", UPN, *OF_CONTOSO, "--yes").refusal


@pytest.mark.usefixtures("an_installation")
@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ("123456789012", "too easy to guess"),
        ("passwordpassword", "too easy to guess"),
        (" " * 12, "too easy to guess"),
        (UPN, "beside the names of the user, the organisation and Vigie"),
        ("Vigie2026!Vigie", "beside the names of the user, the organisation and Vigie"),
        (f"{UPN.partition('@')[0]}-contoso-2026", "beside the names of the user, the organisation and Vigie"),
    ],
)
def test_a_password_that_is_tried_first_is_refused_with_what_to_do(typed: str, reason: str) -> None:
    before = dump_of_store()

    ended = run("user", "set-password", UPN, *OF_CONTOSO, stdin=f"{typed}\n")

    assert (ended.code, reason in ended.refusal) == (1, True)
    assert "take four or more words that have nothing to do with each other" in ended.refusal
    assert dump_of_store() == before


@pytest.mark.usefixtures("an_installation")
def test_a_lockout_ends_by_a_command() -> None:
    assert "was not locked out" in run("user", "unlock", UPN, *OF_CONTOSO).err
    asyncio.run(guess_five_times())

    assert "is unlocked" in run("user", "unlock", UPN.upper(), *OF_CONTOSO).err
    assert asyncio.run(guess_five_times()) == [True] * 5


async def guess_five_times() -> list[bool]:
    """Whether each attempt was allowed."""
    rule, at = LockOut(attempts=5, seconds_max=900), now()
    async with opened(Settings(), create=False) as installation:
        tenant = await installation.directory.get_tenant("contoso")
        name = digest_of_name(UPN)
        return [await installation.sign_ins.begin_attempt(tenant, name, rule, at) for _ in range(5)]


@pytest.mark.usefixtures("an_installation")
@pytest.mark.parametrize("typed", ["", "\n", "too short\n", "x" * 1025, "x" * 20_000])
def test_a_password_that_can_be_none_is_refused(typed: str) -> None:
    before = dump_of_store()

    ended = run("user", "set-password", UPN, *OF_CONTOSO, stdin=typed)

    assert (ended.code, ended.refusal) == (1, "vigie: a password has 12 to 1024 characters")
    assert dump_of_store() == before


@pytest.mark.usefixtures("an_installation")
def test_a_password_that_is_no_text_is_refused() -> None:
    ended = run("user", "set-password", UPN, *OF_CONTOSO, stdin="\udcff" * 20 + "\n")

    assert (ended.code, "not UTF-8" in ended.refusal) == (1, True)


@pytest.mark.usefixtures("an_installation")
@pytest.mark.parametrize(
    ("again", "code", "said"),
    [("another quiet harbour", 0, "set the password of"), ("another quiet harbor", 1, "do not match")],
)
def test_on_a_terminal_a_password_is_asked_for_twice_and_not_shown(again: str, code: int, said: str) -> None:
    with on_a_terminal("user", "set-password", UPN, *OF_CONTOSO) as (process, terminal):
        shown = ""
        for asked, typed in (("Password of", "another quiet harbour"), ("Repeat the password", again)):
            shown = shown_until(asked, terminal, shown)
            os.write(terminal, f"{typed}\n".encode())
        shown = shown_until(said, terminal, shown)
        process.wait(timeout=20)

    assert process.returncode == code
    assert "harbo" not in shown


@pytest.mark.usefixtures("an_installation")
def test_signing_out_says_how_much_has_ended() -> None:
    assert done("user", "sign-out", UPN, *OF_CONTOSO) == {"upn": UPN, "ended": 0}
    assert done("user", "sign-out", UPN, *OF_CONTOSO, "--app", "reader") == {"upn": UPN, "ended": 0}


# Roles, users and device groups


@pytest.mark.usefixtures("an_installation")
def test_the_built_in_roles_come_first_and_stay() -> None:
    names = [role["name"] for role in done("role", "list", *OF_CONTOSO)]

    assert names == ["security-reader", "security-operator", "security-administrator", "viewer"]
    assert run("role", "remove", "security-reader", *OF_CONTOSO, "--yes").code == 1


@pytest.mark.usefixtures("an_installation")
def test_a_role_is_added_and_removed_with_its_assignments() -> None:
    added = done("role", "add", "lead", *OF_CONTOSO, *permissions("manage-incidents", "view-data"))
    done("user", "grant", UPN, *OF_CONTOSO, "--role", "lead")

    assert added == {"name": "lead", "permissions": ["view-data", "manage-incidents"], "built_in": False}
    assert done("role", "remove", "lead", *OF_CONTOSO, "--yes") == {}
    assert [each["role"] for each in assignments_of(UPN)] == ["viewer"]


@pytest.mark.usefixtures("an_installation")
def test_a_new_user_is_granted_nothing() -> None:
    added = done("user", "add", "Eve@contoso.example", *OF_CONTOSO)

    assert set(added) == {"id", "upn", "assignments"}
    assert (added["upn"], added["assignments"]) == ("Eve@contoso.example", [])


@pytest.mark.usefixtures("an_installation")
def test_a_role_is_granted_over_device_groups_or_the_whole_tenant() -> None:
    done("user", "revoke", UPN, *OF_CONTOSO)
    done("device-group", "add", "servers", *OF_CONTOSO)

    done(
        "user",
        "grant",
        UPN,
        *OF_CONTOSO,
        "--role",
        "viewer",
        "--device-group",
        "11",
        "--device-group",
        "servers",
    )
    granted = done("user", "grant", UPN.upper(), *OF_CONTOSO, "--role", "security-reader")

    assert granted["assignments"] == assignments_of(UPN)
    assert sorted(assignments_of(UPN), key=lambda each: str(each["role"])) == [
        {"role": "security-reader", "whole_tenant": True, "device_groups": []},
        {"role": "viewer", "whole_tenant": False, "device_groups": ["laptops", "servers"]},
    ]


@pytest.mark.usefixtures("an_installation")
def test_one_role_or_all_roles_are_revoked() -> None:
    done("user", "grant", UPN, *OF_CONTOSO, "--role", "security-reader")

    one = run("user", "revoke", UPN, *OF_CONTOSO, "--role", "viewer", "--json")
    every = done("user", "revoke", UPN, *OF_CONTOSO)
    none = run("user", "revoke", UPN, *OF_CONTOSO)

    assert [each["role"] for each in one.json["assignments"]] == ["security-reader"]
    assert one.err == f"removed 1 role assignment from {UPN}\n"
    assert every["assignments"] == []
    assert (none.code, none.err) == (0, f"removed 0 role assignments from {UPN}\n")


@pytest.mark.usefixtures("an_installation")
def test_a_device_group_is_added_and_removed_and_never_widens_a_scope() -> None:
    assert done("device-group", "add", "servers", *OF_CONTOSO, "--id", 12) == {"id": 12, "name": "servers"}

    done("device-group", "remove", "11", *OF_CONTOSO, "--yes")

    assert {"id": 12, "name": "servers"} in done("device-group", "list", *OF_CONTOSO)
    assert assignments_of(UPN) == [{"role": "viewer", "whole_tenant": False, "device_groups": []}]
    assert f"{UPN}\tviewer (no groups)\n" in run("user", "list", *OF_CONTOSO).out


@pytest.mark.usefixtures("an_installation")
@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (("tenant", "add", "contoso"), "there is already a tenant 'contoso'"),
        (("tenant", "add", "a\nb"), "a tenant's name is 1 to 200 printable characters"),
        (
            ("tenant", "add", "x", "--id", "17"),
            "'17' is not a GUID such as 3b0f6c1a-52d7-4c0e-9c57-0a4e6f1d2b88",
        ),
        (("tenant", "remove", "nobody"), "there is no tenant 'nobody'; `vigie tenant list` shows them"),
        (("app", "add", "reader", *OF_CONTOSO), "there is already an application 'reader' in contoso"),
        (
            ("user", "add", "ada", *OF_CONTOSO),
            "'ada' is not a user principal name such as ada@contoso.example",
        ),
        (
            ("user", "grant", UPN, *OF_CONTOSO, "--role", "viewer", "--device-group", "attic"),
            "there is no device group 'attic' in contoso; "
            "`vigie device-group list --tenant contoso` shows them",
        ),
        (
            ("user", "grant", "eve", *OF_CONTOSO, "--role", "viewer"),
            "there is no user 'eve' in contoso; `vigie user list --tenant contoso` shows them",
        ),
    ],
)
def test_what_the_directory_refuses_is_one_line_and_exit_1(command: tuple[str, ...], reason: str) -> None:
    ended = run(*command)

    assert (ended.code, ended.refusal) == (1, f"vigie: {reason}")


# Tokens


@pytest.mark.usefixtures("an_installation")
def test_a_token_of_an_application_stands_alone_on_stdout() -> None:
    ended = run("token", *OF_CONTOSO, "--app", "reader")

    (application,) = done("app", "list", *OF_CONTOSO)
    claims = claims_of(ended.out.rstrip("\n"))
    assert ended.err == ""
    assert ended.out.count("\n") == 1
    assert (claims["aud"], claims["tid"], claims["idtyp"]) == (INCIDENTS_API, GUID, "app")
    assert (claims["appid"], claims["roles"]) == (application["client_id"], ["Incident.Read.All"])
    assert claims["exp"] - claims["iat"] == 3599


@pytest.mark.usefixtures("an_installation")
def test_a_token_of_a_user_says_who_it_is_and_what_was_asked_for() -> None:
    said = done("token", *OF_CONTOSO, "--user", UPN)

    claims = claims_of(said["access_token"])
    (user,) = done("user", "list", *OF_CONTOSO)
    assert (claims["upn"], claims["oid"], claims["appid"]) == (UPN, user["id"], USER_CLIENT_ID)
    assert (claims["scp"], claims["aud"]) == ("Incident.Read", INCIDENTS_API)
    assert {name: said[name] for name in ("token_type", "expires_in", "permissions")} == {
        "token_type": "Bearer",
        "expires_in": 3599,
        "permissions": ["Incident.Read"],
    }


@pytest.mark.usefixtures("an_installation")
@pytest.mark.parametrize(
    ("scopes", "scp", "audience"),
    [
        (["Incident.ReadWrite"], "Incident.ReadWrite", INCIDENTS_API),
        (["Incident.Read Incident.ReadWrite"], "Incident.Read Incident.ReadWrite", INCIDENTS_API),
        (["Incident.Read", "Incident.Read"], "Incident.Read", INCIDENTS_API),
        ([".default"], "Incident.Read Incident.ReadWrite", INCIDENTS_API),
        (["http://127.0.0.1:8400/.default"], "Incident.Read Incident.ReadWrite", "http://127.0.0.1:8400"),
        (["https://graph.microsoft.com/User.Read"], "User.Read", "https://graph.microsoft.com"),
        (
            ["https://graph.microsoft.com/A", "https://graph.microsoft.com/B C"],
            "A B C",
            "https://graph.microsoft.com",
        ),
    ],
)
def test_the_scope_of_a_user_names_permissions_and_resource(
    scopes: list[str], scp: str, audience: str
) -> None:
    ended = run(
        "token", *OF_CONTOSO, "--user", UPN, *(part for scope in scopes for part in ("--scope", scope))
    )

    claims = claims_of(ended.out.strip())
    unknown = [name for name in scp.split() if not name.startswith("Incident.")]
    assert (claims["scp"], claims["aud"]) == (scp, audience)
    assert [line.split()[:2] for line in ended.err.splitlines()] == [["warning:", name] for name in unknown]


@pytest.mark.usefixtures("an_installation")
def test_the_scope_of_an_application_is_its_audience() -> None:
    said = done("token", *OF_CONTOSO, "--app", "reader", "--scope", "https://graph.microsoft.com/.default")

    claims = claims_of(said["access_token"])
    assert claims["aud"] == "https://graph.microsoft.com"
    assert "roles" not in claims


@pytest.mark.usefixtures("an_installation")
@pytest.mark.parametrize("lifetime", [("--lifetime", "-600"), ("--lifetime=-600",)])
def test_a_token_may_be_made_that_has_expired_already(lifetime: tuple[str, ...]) -> None:
    said = done("token", *OF_CONTOSO, "--app", "reader", *lifetime)

    assert said["expires_in"] == -600
    assert claims_of(said["access_token"])["exp"] - claims_of(said["access_token"])["iat"] == -600


@pytest.mark.usefixtures("an_installation")
def test_a_token_that_servers_still_accept_is_not_called_expired() -> None:
    ended = run("token", *OF_CONTOSO, "--app", "reader", "--lifetime", -100)

    assert ended.err == "warning: accepted for another 200 s, as [identity] clock_skew_seconds = 300\n"


@pytest.mark.usefixtures("an_installation")
@pytest.mark.parametrize(
    ("options", "code"),
    [
        ((), 2),
        (("--app", "reader", "--user", UPN), 2),
        (("--app", "nobody"), 1),
        (("--user", "nobody"), 1),
        (("--user", ""), 1),
        (("--app", "reader", "--lifetime", "0"), 2),
        (("--app", "reader", "--lifetime", "86401"), 2),
        (("--app", "reader", "--lifetime", "-86401"), 2),
        (("--app", "reader", "--lifetime", "1.5"), 2),
        (("--app", "reader", "--scope", "Incident.Read.All"), 2),
        (("--app", "reader", "--scope", "https://elsewhere.example/.default"), 1),
        (("--user", UPN, "--scope", ""), 2),
        (("--user", UPN, "--scope", "Incident Read/"), 2),
        (("--user", UPN, "--scope", "Incident.Réad"), 2),
        (("--user", UPN, "--scope", "https://elsewhere.example/Incident.Read"), 1),
        (("--user", UPN, "--scope", "https://graph.microsoft.com/A https://security.microsoft.com/mtp/B"), 2),
    ],
)
def test_a_token_that_cannot_be_made_is_refused(options: tuple[str, ...], code: int) -> None:
    ended = run("token", *OF_CONTOSO, *options)

    assert ended.code == code
    assert ended.refusal.startswith("vigie: ")
    assert ended.refusal.endswith("see `vigie token --help`") == (code == 2)


@pytest.mark.usefixtures("an_installation")
def test_after_a_rotation_the_old_key_is_accepted_until_it_is_dropped() -> None:
    (first, second) = done("keys", "rotate"), done("keys", "rotate")

    dropped = done("keys", "rotate", "--drop-old")

    assert second["retired"][0]["kid"] == first["kid"]
    assert dropped["retired"] == []
    assert load_keys(Path(".vigie/signing-keys.json")).current.kid == dropped["kid"]
    assert Path(".vigie/signing-keys.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.usefixtures("an_installation")
def test_a_key_file_that_is_none_is_said_so() -> None:
    Path(".vigie/signing-keys.json").write_text("{}", encoding="utf-8")

    for command in (["token", *OF_CONTOSO, "--app", "reader"], ["init"]):
        ended = run(*command)

        assert ended.code == 1
        assert ended.refusal.startswith("vigie: .vigie/signing-keys.json is not a Vigie key file; restore it")


# Setting up


@pytest.mark.usefixtures("an_empty_directory")
def test_init_writes_the_settings_and_makes_store_and_key() -> None:
    made = done("init")

    assert made == {
        "config": "vigie.toml",
        "store": ".vigie/vigie.sqlite3",
        "signing_keys": ".vigie/signing-keys.json",
        "issuer": "http://127.0.0.1:8400",
    }
    assert Path("vigie.toml").read_text(encoding="utf-8") == example_file()
    assert sorted(each.name for each in Path().rglob("*")) == [
        ".vigie",
        "signing-keys.json",
        "vigie.sqlite3",
        "vigie.toml",
    ]


@pytest.mark.usefixtures("an_empty_directory")
@pytest.mark.parametrize(("umask", "file_mode", "directory_mode"), [(0, 0o644, 0o755), (0o077, 0o600, 0o700)])
def test_nobody_else_can_change_the_settings_that_init_wrote(
    umask: int, file_mode: int, directory_mode: int
) -> None:
    ended = run_program("init", "etc/vigie", umask=umask)

    assert ended.code == 0
    modes = [Path(each).stat().st_mode & 0o777 for each in ("etc/vigie/vigie.toml", "etc/vigie", "etc")]
    assert modes == [file_mode, directory_mode, directory_mode]


@pytest.mark.usefixtures("an_empty_directory")
def test_what_init_made_elsewhere_is_found_from_everywhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    done("init", "deep/down")
    done("tenant", "add", "contoso", "--config", "deep/down/vigie.toml")
    monkeypatch.chdir(tmp_path / "deep")

    by_flag = done("tenant", "list", "--config", "down/vigie.toml")
    monkeypatch.setenv("VIGIE_CONFIG", str(tmp_path / "deep/down/vigie.toml"))
    by_variable = done("tenant", "list")

    assert [tenant["name"] for tenant in by_flag] == ["contoso"]
    assert by_variable == by_flag


@pytest.mark.usefixtures("an_empty_directory")
def test_init_remembers_the_store_it_was_given() -> None:
    made = done("init", "conf", "--database", "sqlite:///data/ünter.sqlite3")

    assert made["store"] == str(Path("data/ünter.sqlite3").absolute())
    assert done("tenant", "list", "--config", "conf/vigie.toml") == []


@pytest.mark.usefixtures("an_empty_directory")
def test_init_writes_the_settings_file_that_is_named() -> None:
    assert done("init", "--config", "etc/house.toml")["store"] == "etc/.vigie/vigie.sqlite3"
    assert done("tenant", "list", "--config", "etc/house.toml") == []
    assert run("init", "here", "--config", "there.toml").code == 2


@pytest.mark.usefixtures("an_empty_directory")
def test_init_refuses_to_overwrite_and_touches_nothing() -> None:
    Path("vigie.toml").write_text("[server]\nport = 1\n", encoding="utf-8")

    ended = run("init")

    assert ended.code == 1
    assert ended.refusal == "vigie: vigie.toml already exists and was not changed; use another directory"
    assert [each.name for each in Path().iterdir()] == ["vigie.toml"]


@pytest.mark.usefixtures("an_empty_directory")
def test_an_init_that_fails_leaves_no_settings_behind() -> None:
    Path(".vigie").write_text("in the way", encoding="utf-8")

    ended = run("init")

    assert ended.code == 1
    assert [each.name for each in Path().iterdir()] == [".vigie"]


@pytest.mark.usefixtures("an_installation")
def test_migrate_says_which_schema_the_store_has() -> None:
    assert done("migrate") == done("migrate") == {"schema": migrations()[-1][0]}


# Helpers


def end_of(command: str, *more: str) -> Ended:
    """Run the command of the table; the demo in a process of its own, because it serves."""
    call = run_program if command == "demo" else run
    return call(*command.split(), *EVERY_COMMAND[command], *more, stdin=f"{PASSWORD}\n")


async def put_incident(tenant: str) -> None:
    async with opened(Settings(), create=False) as installation:
        found = await installation.directory.get_tenant(tenant)
        await installation.incidents.put_incidents(
            found.tenant_id, [keep_incident(INCIDENT)], an_audit_context()
        )


def permissions(*names: str) -> list[str]:
    return [part for name in names for part in ("--permission", name)]


def assignments_of(upn: str) -> list[dict[str, Any]]:
    users = done("user", "list", *OF_CONTOSO)
    return next(user["assignments"] for user in users if user["upn"] == upn)


def claims_of(token: str) -> dict[str, Any]:
    """The claims, after another program has checked the signature."""
    pair = load_keys(Path(".vigie/signing-keys.json")).current.pair
    key = jwt.PyJWK({**pair.public_jwk(), "alg": "RS256"})
    return jwt.decode(token, key, algorithms=["RS256"], options={"verify_aud": False, "verify_exp": False})


def dump_of_store() -> list[str]:
    connection = sqlite3.connect(".vigie/vigie.sqlite3")
    try:
        return list(connection.iterdump())
    finally:
        connection.close()


def arguments_of(command: str) -> list[Argument]:
    app = program()
    for name in command.split():
        app = app[name]
    return [each for each in app.assemble_argument_collection() if each.show]


def row_of(command: str) -> Command:
    return next(each for each in COMMANDS if each.name == command)


def usage_of(command: str) -> str:
    """The command with its positional arguments."""
    positional = (each for each in arguments_of(command) if each.index is not None)
    return " ".join([command, *(each.name if each.required else f"[{each.name}]" for each in positional)])


def section_of(command: Command) -> str:
    """The section of a command in docs/commands.md, without the prose that may follow."""
    rows = [argument_row(each) for each in arguments_of(command.name) if each.name not in COMMON_OPTIONS]
    table = ["", "| argument | meaning |", "|---|---|", *rows] if rows else []
    example = ["", "```sh", command.example, "```"]
    return "\n".join([f"### `vigie {usage_of(command.name)}`", "", command.help, *table, *example])


def argument_row(argument: Argument) -> str:
    default = argument.field_info.default
    notes = (
        " Required."
        if argument.required
        else f" Default: `{default}`."
        if argument.show_default and default
        else ""
    )
    # A `|` ends a cell of the table.
    metavar = f" {argument.parameter.metavar}".replace("|", "\\|") if argument.parameter.metavar else ""
    return f"| `{argument.name}{metavar}` | {argument.parameter.help}{notes} |"
