"""The program `vigie` as a process: its exit codes and streams, Ctrl-C, closed pipes, and serving."""

import gc
import json
import os
import pty
import re
import shlex
import signal
import socket
import sqlite3
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.commands import (
    PROGRAM,
    done,
    environment,
    events_in,
    first_line_of,
    run,
    run_program,
    running_program,
    served,
)
from vigie.cli.start import loading

OF_CONTOSO = ("--tenant", "contoso")


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def contoso() -> None:
    """A store with a tenant in it."""
    done("tenant", "add", "contoso")


# Wrong usage


@pytest.mark.parametrize(
    ("arguments", "reason", "command"),
    [
        (("frobnicate",), "unknown command 'frobnicate'", "vigie"),
        (("tenat", "list"), "unknown command 'tenat'; did you mean 'tenant'?", "vigie"),
        (("tenant", "ad"), "unknown command 'ad'; did you mean 'add'?", "vigie tenant"),
        (
            ("--frob", "migrate"),
            "unknown option --frob; options allowed before the command: --config, --database, --json, --debug",
            "vigie",
        ),
        (("--json",), "missing command", "vigie"),
        (("--json", "frobnicate"), "unknown command 'frobnicate'", "vigie"),
        (
            ("--database", "sqlite:///x", "tenant", "--json"),
            "missing subcommand of tenant; use one of: add, list, remove",
            "vigie tenant",
        ),
        (("tenant", "add"), "missing argument NAME", "vigie tenant add"),
        (("tenant", "add", "a", "b"), "unexpected argument 'b'", "vigie tenant add"),
        (("tenant", "add", "a", "--frob"), "unknown option: --frob", "vigie tenant add"),
        (
            ("tenant", "add", "a", "--no-json"),
            "unknown option: --no-json. Did you mean --json?",
            "vigie tenant add",
        ),
        (("tenant", "add", "a", "--id"), "option --id requires a value", "vigie tenant add"),
        (("app", "list"), "missing option --tenant", "vigie app list"),
        (("keys",), "missing subcommand of keys; use one of: rotate, list", "vigie keys"),
        (("role",), "missing subcommand of role; use one of: add, list, remove", "vigie role"),
        (
            ("serve", "--port", "http"),
            "invalid value for --port: expected integer, got 'http'",
            "vigie serve",
        ),
        (("token", *OF_CONTOSO), "exactly one of --app and --user is required", "vigie token"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(arguments: tuple[str, ...], reason: str, command: str) -> None:
    ended = run(*arguments)

    said = reason if reason.endswith("?") else f"{reason};"
    assert (ended.code, ended.refusal) == (2, f"vigie: {said} see `{command} --help`")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--port", "70000"), "--port: [server] port = 70000: must be an integer from 0 to 65535"),
        (("--config", "nowhere.toml"), "nowhere.toml: cannot be read: No such file or directory"),
    ],
)
def test_a_flag_that_no_setting_can_have_is_one_line_and_exit_2(
    arguments: tuple[str, ...], reason: str
) -> None:
    ended = run("serve", *arguments)

    assert (ended.code, ended.refusal) == (2, f"vigie: {reason}")


def test_a_wrong_setting_is_one_line_and_exit_2() -> None:
    Path("vigie.toml").write_text("[server]\nprot = 1\n", encoding="utf-8")

    ended = run_program("migrate")

    assert ended.code == 2
    assert (
        ended.refusal
        == "vigie: vigie.toml: unknown key 'prot' in [server]; did you mean [server] port or [import]?"
    )


def test_a_wrong_variable_is_one_line_and_exit_2() -> None:
    ended = run_program("migrate", environ={"VIGIE_SERVER_PORT": "many"})

    assert ended.code == 2
    assert ended.refusal.startswith("vigie: environment VIGIE_SERVER_PORT: [server] port")


# Refusals and failures


def a_private_file() -> None:
    Path(".vigie").mkdir()
    Path(".vigie/vigie.sqlite3").touch(mode=0o600)


def not_a_store() -> None:
    a_private_file()
    Path(".vigie/vigie.sqlite3").write_text("nothing of the kind" * 100, encoding="utf-8")


def someone_elses_database() -> None:
    a_private_file()
    change_store("CREATE TABLE theirs (a)")


def a_newer_store() -> None:
    done("init")
    change_store("PRAGMA user_version = 1000")


def a_broken_store() -> None:
    done("init")
    change_store("ALTER TABLE tenant RENAME COLUMN guid TO gone")


def a_directory() -> None:
    Path(".vigie/vigie.sqlite3").mkdir(parents=True)


@pytest.mark.parametrize(
    ("arrange", "reason"),
    [
        (not_a_store, "is not a Vigie database, or is damaged: file is not a database"),
        (someone_elses_database, "is the database of another program; name another file"),
        (a_newer_store, "was made by a newer Vigie"),
        (
            a_broken_store,
            "The store cannot answer at the moment. Try again. (OperationalError: no such column",
        ),
        (a_directory, "the database at .vigie/vigie.sqlite3 cannot be used: unable to open database file"),
    ],
)
def test_a_store_that_cannot_be_used_is_one_line_and_exit_1(arrange: Callable[[], None], reason: str) -> None:
    arrange()

    ended = run_program("tenant", "list", "--json")

    assert ended.code == 1
    assert reason in ended.refusal


def test_what_the_system_refuses_is_one_line_and_exit_1() -> None:
    Path("file").touch()

    ended = run_program("init", "file/deeper")

    assert ended.code == 1
    assert ended.refusal == "vigie: file/deeper: Not a directory"


@pytest.mark.usefixtures("contoso")
def test_a_defect_is_one_line_and_shows_where_only_when_asked() -> None:
    change_store("INSERT INTO role (tenant_id, name, permissions) SELECT tenant_id, 'r', 'fly' FROM tenant")

    ended = run_program("role", "list", *OF_CONTOSO)
    debugged = run_program("role", "list", *OF_CONTOSO, "--debug")

    assert ended.code == debugged.code == 1
    assert "internal error: " in ended.refusal
    assert "Traceback" not in ended.err
    assert debugged.err.startswith("Traceback")
    assert debugged.err.endswith(ended.err)


# Streams and terminals


def test_version_and_help_go_to_stdout() -> None:
    version, alone, asked = run_program("--version"), run_program(), run_program("tenant", "add", "--help")

    assert (version.code, version.out, version.err) == (0, "vigie 0.1.0\n", "")
    assert (alone.code, alone.err) == (0, "")
    assert "Usage: vigie COMMAND" in alone.out
    assert "Usage: vigie tenant add [OPTIONS] NAME" in asked.out
    assert not set("╭│╰\x1b") & set(alone.out + asked.out)


def test_python_runs_the_program_as_a_module() -> None:
    python = PROGRAM.with_name("python")

    completed = subprocess.run(
        [python, "-m", "vigie", "--json", "tenant", "add", "contoso"],
        env=environment({}),
        capture_output=True,
        text=True,
    )

    assert (completed.returncode, completed.stderr) == (0, "")
    assert [tenant["name"] for tenant in done("tenant", "list")] == ["contoso"]


def test_what_the_demonstration_says_to_try_works_for_a_module_too() -> None:
    python = PROGRAM.with_name("python")

    with (
        Path("shown").open("wb") as shown,
        subprocess.Popen(
            [python, "-m", "vigie", "demo", "--port", "0"],
            env=environment({}),
            stdout=shown,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        assert eventually(lambda: " -m vigie token " in Path("shown").read_text(encoding="utf-8"), seconds=30)
        process.terminate()
        process.wait(30)

    command = next(
        line for line in Path("shown").read_text(encoding="utf-8").splitlines() if " token --" in line
    )
    (token,) = re.findall(r"\$\((\S+ -m vigie token .+?)\)", command)
    printed = subprocess.run(shlex.split(token), env=environment({}), capture_output=True, text=True)
    assert printed.returncode == 0, printed.stderr


@pytest.mark.usefixtures("contoso")
def test_a_reader_that_goes_away_is_no_news() -> None:
    read, write = os.pipe()
    os.close(read)

    ended = run_program("tenant", "list", stdout=write)
    os.close(write)

    assert (ended.code, ended.err) == (141, "")


@pytest.mark.usefixtures("contoso")
def test_an_answer_that_cannot_be_written_is_a_failure() -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        ended = run_program("tenant", "list", stdout=full)

    assert (ended.code, ended.err) == (1, "vigie: No space left on device\n")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_do_no_harm(closed: str) -> None:
    line = f"{PROGRAM} tenant add contoso {closed}"

    assert subprocess.run(["sh", "-c", line], env=environment({}), check=False).returncode == 0
    assert [tenant["name"] for tenant in done("tenant", "list")] == ["contoso"]


def test_names_come_out_whatever_the_terminal_can_show() -> None:
    done("tenant", "add", "Ünïcode 🛰 Ltd")

    plain = run_program("tenant", "list", environ={"PYTHONIOENCODING": "ascii"})
    as_json = run_program("tenant", "list", "--json", environ={"PYTHONIOENCODING": "ascii"})

    assert r"\xdcn\xefcode \U0001f6f0 Ltd" in plain.out
    assert as_json.json[0]["name"] == "Ünïcode 🛰 Ltd"


@pytest.mark.usefixtures("contoso")
@pytest.mark.parametrize(
    ("answer", "code", "left"),
    [(b"y\n", 0, []), (b"n\n", 1, ["contoso"]), (b"\n", 1, ["contoso"]), (b"\x04", 1, ["contoso"])],
)
def test_on_a_terminal_a_removal_asks(answer: bytes, code: int, left: list[str]) -> None:
    with on_a_terminal("tenant", "remove", "contoso") as (process, terminal):
        shown = read_until(terminal, b"[y/N] ")
        os.write(terminal, answer)

        assert process.wait(30) == code
    assert b"Remove tenant contoso with all its incidents, applications and users?" in shown
    assert [tenant["name"] for tenant in done("tenant", "list")] == left


@pytest.mark.usefixtures("contoso")
def test_ctrl_c_at_the_question_stops() -> None:
    with on_a_terminal("tenant", "remove", "contoso") as (process, terminal):
        read_until(terminal, b"[y/N] ")
        os.write(terminal, b"\x03")

        assert process.wait(30) == 130
        assert b"vigie: stopped\r\n" in read_until(terminal, b"stopped\r\n")
    assert len(done("tenant", "list")) == 1


def test_on_a_terminal_a_list_is_a_table_of_whole_and_literal_names() -> None:
    added = done("tenant", "add", "[red]Contoso[/red]")

    with on_a_terminal("tenant", "list") as (process, terminal):
        shown = read_until(terminal, b"[/red]").decode()

        assert process.wait(30) == 0
    assert added["id"] in shown
    assert "[red]Contoso[/red]" in shown
    assert "\t" not in shown


# Serving


def test_serve_says_where_it_serves_and_ends_well_when_told_to() -> None:
    log = Path("serve.log")
    with served("--port", "0", log=log) as (process, said):
        assert get(f"{said['url']}/healthz") == 200
        process.send_signal(signal.SIGTERM)

        out, _ = process.communicate(timeout=30)
    events = [event["event"] for event in events_in(log)]
    assert (process.returncode, out) == (0, "")
    assert "serving" in events
    assert events[-1] == "stopped"


def test_options_before_serve_are_those_behind_it() -> None:
    with running_program(
        "--json", "--database", "sqlite:///other.sqlite3", "serve", "--port", "0"
    ) as process:
        said = json.loads(first_line_of(process))

        assert get(f"{said['url']}/healthz") == 200
    assert Path("other.sqlite3").exists()


def test_ctrl_c_ends_serving_well() -> None:
    with served("--port", "0") as (process, _):
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)

    assert process.returncode == 0


@pytest.mark.parametrize(
    ("while_loading", "command"), [("cyclopts", "tenant list"), ("uvloop", "serve"), ("uvicorn", "serve")]
)
def test_ctrl_c_while_it_starts_is_one_line_and_exit_130(while_loading: str, command: str) -> None:
    Path("instead").mkdir()
    Path("instead", f"{while_loading}.py").write_text("raise KeyboardInterrupt", encoding="utf-8")

    ended = run_program(*command.split(), environ={"PYTHONPATH": "instead"})

    assert (ended.code, ended.err) == (130, "vigie: stopped\n")


def test_a_taken_port_is_one_line_and_exit_2() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run_program("serve", "--port", port)

    assert ended.code == 2
    assert ended.refusal == (
        f"vigie: cannot listen at 127.0.0.1 port {port}: Address already in use; choose another with --port"
    )


@pytest.mark.parametrize(
    ("command", "setting"),
    [("serve", "[server]\nport"), ("serve", "[metrics]\nlisten"), ("demo", "[server]\nport")],
)
def test_a_start_whose_port_is_taken_makes_no_store(command: str, setting: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        value = f'"127.0.0.1:{port}"' if "listen" in setting else port
        Path("vigie.toml").write_text(f"{setting} = {value}\n", encoding="utf-8")
        other = ("--port", "0") if "listen" in setting else ("--port", port)
        ended = run_program(command, *other)

    assert ended.code == 2
    assert [file.name for file in Path().iterdir()] == ["vigie.toml"]


@pytest.mark.parametrize("host", ["nowhere.invalid", "192.0.2.1"])
def test_a_host_that_is_not_here_is_one_line_and_exit_2(host: str) -> None:
    ended = run_program("serve", "--host", host, "--port", "0")

    assert ended.code == 2
    assert ended.refusal.startswith(f"vigie: cannot listen at {host} port 0: ")
    assert ended.refusal.endswith("; choose another with --host")


def test_flags_go_before_the_settings() -> None:
    Path("vigie.toml").write_text("[server]\nport = 1\nhost = 'nowhere.invalid'\n", encoding="utf-8")
    public_url = "http://vigie.example:8400"

    with served("--port", "0", "--host", "127.0.0.1", "--public-url", public_url) as (_, said):
        assert said == {"url": public_url}


def test_a_served_store_takes_commands_and_the_server_sees_their_effect() -> None:
    with served("--port", "0") as (_, said):
        done("tenant", "add", "contoso")
        done("app", "add", "reader", *OF_CONTOSO, "--permission", "Incident.Read.All")
        token = done("token", *OF_CONTOSO, "--app", "reader")["access_token"]
        address = f"{said['url']}/api/incidents/1"

        assert eventually(lambda: get(address, token) == 404)
        done("app", "remove", "reader", *OF_CONTOSO, "--yes")
        assert eventually(lambda: get(address, token) == 401)


def test_a_key_file_that_breaks_is_told_under_its_own_name() -> None:
    log = Path("serve.log")
    with served("--port", "0", log=log) as (_, said):
        Path(".vigie/signing-keys.json").write_text("{}", encoding="utf-8")

        assert eventually(lambda: "keys_unreadable" in log.read_text(encoding="utf-8"), seconds=10)
        told = next(event for event in events_in(log) if event["event"] == "keys_unreadable")
        assert told["level"] == "warning"
        assert get(f"{said['url']}/healthz") == 200


def test_tokens_of_dropped_keys_stop_working() -> None:
    done("tenant", "add", "contoso")
    done("app", "add", "reader", *OF_CONTOSO, "--permission", "Incident.Read.All")
    with served("--port", "0") as (_, said):
        token = done("token", *OF_CONTOSO, "--app", "reader")["access_token"]
        address = f"{said['url']}/api/incidents/1"

        assert get(address, token) == 404
        done("keys", "rotate")
        assert not eventually(lambda: get(address, token) == 401)
        done("keys", "rotate", "--drop-old")
        assert eventually(lambda: get(address, token) == 401)


def test_garbage_is_collected_again_once_the_program_is_loaded() -> None:
    assert gc.isenabled()
    with loading():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_serve_loads_no_part_that_most_servers_do_without() -> None:
    code = (
        "import sys; from vigie.cli.main import main; main(['serve', '--host', '192.0.2.1']);"
        "unneeded = {'argon2', 'cyclopts', 'jinja2', 'markupsafe', 'rich', 'vigie.application.transfer',"
        " 'vigie.synthetic.generator', 'vigie.cli.tenants', 'vigie.cli.demo',"
        " 'asyncpg', 'cryptography.x509', 'httpx2', 'joserfc', 'multipart',"
        " 'prometheus_client', 'redis', 'vigie.identity.federation.tokens', 'vigie.http.tls_listener', 'zxcvbn'};"
        "print(*sorted(unneeded & set(sys.modules)))"
    )
    python = PROGRAM.with_name("python")

    completed = subprocess.run(
        [python, "-c", code], env=environment({}), capture_output=True, check=True, text=True
    )

    assert completed.stdout == "\n"


# Helpers


def change_store(statement: str) -> None:
    connection = sqlite3.connect(".vigie/vigie.sqlite3", isolation_level=None)
    try:
        connection.execute(statement)
    finally:
        connection.close()


@contextmanager
def on_a_terminal(*arguments: str) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """The program on a terminal of its own, and the other end of that terminal."""
    ours, theirs = pty.openpty()
    streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    try:
        # A session of its own, with the terminal as its own: Ctrl-C typed there is a signal for it.
        with running_program(*arguments, **streams, preexec_fn=lambda: os.login_tty(theirs)) as process:
            os.close(theirs)
            yield process, ours
    finally:
        os.close(ours)


def read_until(terminal: int, end: bytes) -> bytes:
    shown = b""
    while end not in shown:
        shown += os.read(terminal, 4096)
    return shown


def get(address: str, token: str | None = None) -> int:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def eventually(claim: Callable[[], bool], *, seconds: float = 2.5) -> bool:
    """Whether it becomes true: an administrator's change counts within two seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if claim():
            return True
        time.sleep(0.05)
    return claim()
