"""Settings: every one through file, environment and flags, right and wrong, and what is said of it."""

import json
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_network
from pathlib import Path

import pytest

from tests.support.paths import DOCS
from vigie.config.issuer_settings import ApplicationMarkSettings
from vigie.config.settings import Settings, SettingsError
from vigie.config.sources import Setting, every_issuer_setting, every_setting, example_file, load_settings
from vigie.ratelimit.address import QuotaStoreAddress

DOCUMENT = DOCS / "settings.md"

ANOTHER_VALUE: dict[str, object] = {
    "server.host": "::1",
    "server.port": 0,
    "server.public_url": "https://vigie.example:8443",
    "server.trusted_proxies": ["10.0.0.0/8", "::1"],
    "server.connections_max": 1,
    "server.drain_seconds": 0,
    "server.head_seconds": 1,
    "server.body_seconds": 3600,
    "server.write_seconds": 60,
    "server.change_streams_max": 1,
    "server.anonymous_answers_per_second": 1,
    "server.fast_path": False,
    "tls.mode": "auto",
    "tls.names": ["vigie.example", "10.0.0.1", "::1"],
    "tls.folder": "/var/lib/vigie/tls",
    "tls.cert": "/etc/vigie/fullchain.pem",
    "tls.key": "/etc/vigie/privkey.pem",
    "tls.check_seconds": 0.1,
    "database.url": "sqlite:////var/lib/vigie/vigie.sqlite3",
    "database.query_seconds": 60,
    "database.replicas": [
        "postgresql://vigie@db-2.example/vigie",
        "postgresql:///vigie?host=/run/postgresql",
    ],
    "database.replica_age_seconds_max": 30,
    "keys.secret_file": "/etc/vigie/keys.secret",
    "identity.authority": "none",
    "identity.issuer": "https://login.vigie.example",
    "identity.token_lifetime_seconds": 301,
    "identity.clock_skew_seconds": 0,
    "identity.revocation_seconds": 0.1,
    "identity.token_cache_size": 1,
    "identity.code_lifetime_seconds": 600,
    "identity.device_code_lifetime_seconds": 60,
    "identity.refresh_tokens": "single-use",
    "identity.refresh_idle_days": 1,
    "identity.refresh_days": 3_650,
    "identity.refresh_retry_seconds": 0,
    "identity.lockout_attempts": 1,
    "identity.lockout_seconds_max": 30,
    "identity.sign_ins_per_minute": 1,
    "identity.sign_ins_per_hour": 1_000_000,
    "identity.user_codes_per_minute": 1,
    "identity.user_codes_per_hour": 2,
    "identity.device_codes_per_minute": 1,
    "identity.device_codes_per_hour": 2,
    "identity.password_checks_at_once": 64,
    "identity.password_checks_waiting_max": 1,
    "identity.audience_aliases": ["https://old.example", "http://[::1]:8400"],
    "quotas.get_per_minute": 1_000_000,
    "quotas.get_per_hour": 1,
    "quotas.list_per_minute": 1000,
    "quotas.list_per_hour": 20_000,
    "quotas.update_per_minute": 1000,
    "quotas.update_per_hour": 20_000,
    "quotas.changes_per_minute": 1,
    "quotas.changes_per_hour": 1_000_000,
    "quotas.change_streams": 1,
    "quotas.store": "valkeys://vigie:a%20b@valkey.example:6380/3",
    "quotas.password_file": "/etc/vigie/valkey-password",
    "quotas.ca_file": "/etc/vigie/valkey-ca.pem",
    "quotas.when_gone": "refuse",
    "updates.determinations": "as-sent",
    "incidents.stubs": "everyone",
    "retention.days": 180,
    "retention.change_days": 7,
    "webhooks.private_addresses": ["10.0.0.0/8", "fd00::1"],
    "webhooks.ca_file": "/etc/vigie/receivers.pem",
    "webhooks.timeout_seconds": 60,
    "webhooks.give_up_hours": 1,
    "webhooks.poll_seconds": 0.05,
    "logging.level": "debug",
    "logging.format": "console",
    "metrics.listen": "[::1]:9464",
    "import.incident_bytes_max": 1,
}
WRONG_VALUES = [
    "true",
    "-1",
    "nan",
    "1979-05-27",
    "[[1]]",
    r'["no such\tvalue"]',
    r'"no such\tvalue"',
    "{ a = 1 }",
]

WRONG_NUMBERS = [
    "",
    "no such value",
    " 1",
    "1 ",
    "+1",
    "-1",
    "1e1",
    "0x10",
    "1_0",
    "01",
    "1,0",
    "true",
    "9" * 5000,
]

# What each kind of rule refuses, one step beside what it takes.
ONE_STEP_BESIDE: Mapping[str, Sequence[object]] = {
    "server.host": ["", "[::1]", "10.0.0.256", "a b", "host:80", "a..b", "fe80::1%\n", "localhost\n"],
    "server.port": [65536, 8400.0],
    "server.public_url": [
        "vigie.example",
        "ftp://vigie.example",
        "https://vigie.example/",
        "https://vigie.example/path",
        "https://vigie.example?query",
        "https://user@vigie.example",
        "https://Vigie.example",
        "https://vigie.example:0",
        "https://vigie.example:65536",
        "https://::1",
        "https://",
        "https://vigie.example\n",
    ],
    "server.trusted_proxies": [["10.0.0.1/8"], ["*"], ["::1", ""], "10.0.0.1"],
    "tls.mode": ["on", "AUTO"],
    "tls.names": [
        [""],
        ["*.vigie.example"],
        [".vigie.example"],
        ["vigie.example."],
        ["-vigie.example"],
        ["a" * 64],
        [".".join(["a" * 63] * 4)],
        ["vigie.example:8400"],
        ["https://vigie.example"],
        ["[::1]"],
        ["10.0.0.0/8"],
        ["10.0.0.256"],
        ["café.example"],
        "vigie.example",
    ],
    "tls.folder": ["a\nb"],
    "tls.cert": ["a\nb"],
    "tls.key": ["a\0b"],
    "tls.check_seconds": [0.09, 3601],
    "database.url": [
        "postgresql://vigie.example",
        "postgresql:///",
        "postgresql://vigie.example/vigie/more",
        "postgresql://vigie.example/vigie?options=-c%20a",
        "postgresql://a@b@vigie.example/vigie",
        "postgresql://vigie.example/vi gie",
        "postgresql://vigie@[::1/vigie",
        "postgresql://vigie@[::1]x/vigie",
        "postgresql://vigie@::1/vigie",
        "postgresql://vigie@[::z]/vigie",
        "postgresql://vigie.example:99999/vigie",
        "postgresql://vigie.example:0/vigie",
        "postgresql://vigie.example:x/vigie",
        "postgresql://vigie.example:/vigie",
        "postgresql://one.example,/vigie",
        "postgresql://one..example/vigie",
        f"postgresql://{'a' * 64}/vigie",
        "postgresql://vigie.example/vigie?port=99999",
        "postgresql:///vigie?host=/one,/two&port=1,2,3",
        "postgresql://vigie.example/vigie?sslmode=always",
        "postgresql://vigie.example/vigie?target_session_attrs=write",
        "postgresql://vigie.example/vigie?host=",
        "postgresql://a%ff@vigie.example/vigie",
        "postgresql://vigie.example/%00",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///data/",
        "sqlite:///data/..",
        "sqlite:///vigie.sqlite3?mode=ro",
        "sqlite:///a\nb",
        "vigie.sqlite3",
    ],
    "keys.secret_file": ["a\nb"],
    "identity.token_lifetime_seconds": [300, 86401],
    "identity.clock_skew_seconds": [601],
    "identity.revocation_seconds": [0.09, 60.1, 10**400],
    "quotas.get_per_minute": [0],
    "quotas.list_per_minute": [0],
    "quotas.list_per_hour": [0],
    "quotas.update_per_minute": [0],
    "quotas.update_per_hour": [0],
    "quotas.changes_per_minute": [0],
    "quotas.changes_per_hour": [0],
    "quotas.change_streams": [0],
    "quotas.store": [
        "",
        "Memory",
        "valkey.example:6379",
        "valkey://",
        "valkey://:6379",
        "valkey://a b",
        "valkey://valkey.example:0",
        "valkey://valkey.example:65536",
        "valkey://valkey.example/vigie",
        "valkey://valkey.example/0/1",
        "valkey://valkey.example?db=1",
        "valkey://valkey.example#1",
        "valkey://valkey.example\n",
        "valkey://10.0.0.256",
        "valkey://::1",
        "unix:///run/valkey.sock",
        "redis+sentinel://valkey.example",
    ],
    "quotas.password_file": ["a\nb"],
    "quotas.when_gone": ["", "Local", "allow"],
    "updates.determinations": ["", "as sent", "Documented"],
    "database.query_seconds": [0, 3601],
    "database.replicas": [
        "postgresql://vigie.example/vigie",
        ["sqlite:///vigie.sqlite3"],
        [""],
        ["postgresql://vigie.example"],
        ["postgresql://vigie.example:99999/vigie"],
        ["postgresql://vigie@[::1/vigie"],
        ["postgresql://db-2.example,db-3.example/vigie"],
        ["postgresql:///vigie?host=db-2.example,db-3.example"],
        ["postgresql:///vigie?sslmode=require&host=db-2.example%2Cdb-3.example"],
    ],
    "database.replica_age_seconds_max": [1, 301],
    "logging.level": ["INFO", "trace", ""],
    "logging.format": ["JSON", "text", ""],
    "metrics.listen": [":9464", "9464", "localhost", "::1:9464", "localhost:65536", "localhost:"],
}

every_setting_in_turn = pytest.mark.parametrize("setting", every_setting(), ids=lambda setting: setting.name)


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def settings_with(
    text: str = "", *, environ: Mapping[str, str] | None = None, overrides: Mapping[str, object] | None = None
) -> Settings:
    Path("vigie.toml").write_text(text, encoding="utf-8")
    return load_settings(file=None, environ=environ or {}, overrides=overrides or {})


def value_of(settings: Settings, setting: Setting) -> object:
    section: object = settings.imports if setting.section == "import" else getattr(settings, setting.section)
    value = getattr(section, setting.key)
    return list(value) if isinstance(value, tuple) else value


def refusal_of(*, file: Path | None = None, environ: Mapping[str, str] | None = None) -> str:
    return refusal_in(lambda: load_settings(file=file, environ=environ or {}))


def refusal_with(
    text: str = "", *, environ: Mapping[str, str] | None = None, overrides: Mapping[str, object] | None = None
) -> str:
    return refusal_in(lambda: settings_with(text, environ=environ, overrides=overrides))


def refusal_in(load: Callable[[], object]) -> str:
    with pytest.raises(SettingsError) as caught:
        load()
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


def as_variable(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(value) if isinstance(value, list) else str(value)


def wrong_variables(setting: Setting) -> list[str]:
    if isinstance(setting.default, bool):
        return ["", "True", "yes", "1", "true "]
    return WRONG_NUMBERS if isinstance(setting.default, int | float) else ["no such\tvalue"]


def test_without_a_file_or_variables_everything_has_its_default() -> None:
    settings = load_settings(file=None, environ={"HOME": "/root", "vigie_port": "1"})

    assert settings == Settings()
    assert settings.database.path == Path(".vigie/vigie.sqlite3")


def test_the_values_of_this_test_cover_every_setting() -> None:
    assert list(ANOTHER_VALUE) == [setting.name for setting in every_setting()]
    assert all(ANOTHER_VALUE[setting.name] != setting.default for setting in every_setting())


@every_setting_in_turn
def test_every_setting_is_taken_from_the_file(setting: Setting) -> None:
    value = ANOTHER_VALUE[setting.name]

    settings = settings_with(f"[{setting.section}]\n{setting.key} = {json.dumps(value)}\n")

    assert value_of(settings, setting) == value


@every_setting_in_turn
def test_every_setting_is_taken_from_each_of_its_variables(setting: Setting) -> None:
    value = ANOTHER_VALUE[setting.name]

    for variable in setting.variables:
        assert value_of(settings_with(environ={variable: as_variable(value)}), setting) == value


@every_setting_in_turn
def test_every_setting_is_taken_from_the_command_line(setting: Setting) -> None:
    value = ANOTHER_VALUE[setting.name]

    assert value_of(settings_with(overrides={setting.name: value}), setting) == value


@every_setting_in_turn
def test_a_wrong_value_in_the_file_is_refused_with_what_is_allowed(setting: Setting) -> None:
    for value in WRONG_VALUES:
        # The one right value among them.
        written = "1" if isinstance(setting.default, bool) and value == "true" else value

        message = refusal_with(f"[{setting.section}]\n{setting.key} = {written}\n")

        assert message.startswith(f"vigie.toml: [{setting.section}] {setting.key} = "), value
        assert message.endswith(f": must be {setting.allowed}"), value


@every_setting_in_turn
def test_a_wrong_value_in_a_variable_is_refused_with_what_is_allowed(setting: Setting) -> None:
    for variable in setting.variables:
        for text in wrong_variables(setting):
            message = refusal_with(environ={variable: text})

            assert message.startswith(f"environment {variable}: [{setting.section}] {setting.key} = ")
            assert message.endswith(f": must be {setting.allowed}")


@pytest.mark.parametrize("name", ONE_STEP_BESIDE)
def test_a_value_one_step_beside_what_is_allowed_is_refused(name: str) -> None:
    setting = next(setting for setting in every_setting() if setting.name == name)

    for value in ONE_STEP_BESIDE[name]:
        message = refusal_with(overrides={name: value})

        assert message.startswith(f"{setting.flag}: {setting.label} = "), value
        assert message.endswith(f": must be {setting.allowed}"), value


@pytest.mark.parametrize(
    "url", ['postgresql://vigie:hunter2/"@db', "postgresql://db/vigie?password=hunter2", "vigie:hunter2@db"]
)
def test_a_password_in_a_refused_url_is_not_repeated(url: str) -> None:
    message = refusal_with(environ={"VIGIE_DATABASE": url})

    assert "hunter2" not in message
    assert "postgresql://user@host/database" in message


SHARED = 'url = "postgresql://vigie@db-1.example/vigie"'
REPLICAS = 'replicas = ["postgresql://vigie:hunter2@db-2.example/vigie"]'
A_QUOTA_STORE = '[quotas]\nstore = "valkey://valkey.example"'


@pytest.mark.parametrize(
    ("lines", "refusal"),
    [
        ((REPLICAS, A_QUOTA_STORE), "[database] replicas require a postgresql:// URL"),
        ((SHARED, REPLICAS), "[database] replicas require a Valkey or Redis in [quotas] store, "),
    ],
)
def test_standbys_need_a_primary_and_a_quota_store(lines: tuple[str, ...], refusal: str) -> None:
    settings = settings_with("\n".join(("[database]", *lines)))

    with pytest.raises(SettingsError) as refused:
        settings.database.check(settings.quotas)

    assert str(refused.value).startswith(refusal)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("lines", [(SHARED,), (SHARED, REPLICAS, A_QUOTA_STORE), (A_QUOTA_STORE,)])
def test_standbys_beside_both_are_right_and_so_are_none(lines: tuple[str, ...]) -> None:
    settings = settings_with("\n".join(("[database]", *lines)))

    settings.database.check(settings.quotas)


def test_a_password_in_a_refused_quota_store_is_not_repeated() -> None:
    message = refusal_with(environ={"VIGIE_QUOTAS_STORE": "valkey://:hunter2@valkey.example/vigie"})

    assert "hunter2" not in message


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("memory", None),
        ("valkey://valkey.example", QuotaStoreAddress(host="valkey.example")),
        ("redis://10.0.0.1:7000/", QuotaStoreAddress(host="10.0.0.1", port=7000)),
        ("rediss://[::1]:6380/12", QuotaStoreAddress(host="::1", port=6380, number=12, has_tls=True)),
        (
            "valkeys://vigie:a%2Fb@valkey.example",
            QuotaStoreAddress(host="valkey.example", has_tls=True, user="vigie", password="a/b"),
        ),
        ("valkey://:secret@valkey.example", QuotaStoreAddress(host="valkey.example", password="secret")),
    ],
)
def test_the_quota_store_is_read_from_its_address(url: str, address: QuotaStoreAddress | None) -> None:
    quotas = settings_with(overrides={"quotas.store": url}).quotas

    assert quotas.address == address
    assert quotas.read_password() == (address.password if address else "")


def test_the_quota_store_s_password_is_the_first_line_of_its_file() -> None:
    Path("conf").mkdir()
    Path("conf/password").touch(mode=0o600)
    Path("conf/password").write_text("hunter 2\n", encoding="utf-8")
    Path("conf/vigie.toml").write_text(
        '[quotas]\nstore = "valkey://valkey.example"\npassword_file = "password"\n', encoding="utf-8"
    )

    quotas = load_settings(file=Path("conf/vigie.toml"), environ={}).quotas

    quotas.check()
    assert quotas.read_password() == "hunter 2"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"store": "valkey://:a@valkey.example", "password_file": "there"},
            "[quotas] password_file and a password in [quotas] store cannot be combined",
        ),
        (
            {"store": "valkey://valkey.example", "ca_file": "there"},
            "[quotas] ca_file requires an address with TLS in [quotas] store",
        ),
        (
            {"store": "valkey://valkey.example", "password_file": "nowhere"},
            "[quotas] password_file = nowhere: cannot be read: No such file or directory",
        ),
        (
            {"store": "rediss://valkey.example", "ca_file": "nowhere"},
            "[quotas] ca_file = nowhere: cannot be read: No such file or directory",
        ),
    ],
)
def test_what_does_not_go_together_in_the_quotas_is_refused(given: dict[str, str], said: str) -> None:
    Path("there").touch()
    quotas = settings_with(overrides={f"quotas.{key}": value for key, value in given.items()}).quotas

    assert refusal_in(quotas.check) == said


def test_files_of_the_quota_store_are_not_looked_at_where_calls_are_counted_in_memory() -> None:
    settings_with(overrides={"quotas.password_file": "nowhere"}).quotas.check()


def test_flags_go_before_variables_and_variables_before_the_file() -> None:
    text = "[server]\nport = 1\nhead_seconds = 1\nbody_seconds = 1\n"
    environ = {"VIGIE_SERVER_PORT": "2", "VIGIE_SERVER_HEAD_SECONDS": "2"}

    server = settings_with(text, environ=environ, overrides={"server.port": 3, "server.host": None}).server

    assert (server.port, server.head_seconds, server.body_seconds) == (3, 2, 1)
    assert (server.write_seconds, server.host) == (30, "127.0.0.1")


def test_a_wrong_value_is_refused_even_where_another_goes_before_it() -> None:
    message = refusal_with("[server]\nport = 99999\n", overrides={"server.port": 1})

    assert message == "vigie.toml: [server] port = 99999: must be an integer from 0 to 65535"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[server]\nprot = 1", "vigie.toml: unknown key 'prot' in [server]; did you mean [server] port"),
        ("[server]\nlevel = 1", "vigie.toml: unknown key 'level' in [server]; did you mean [logging] level?"),
        ("[sever]\nport = 1", "vigie.toml: unknown section 'sever'; did you mean [server]"),
        ("[imports]", "vigie.toml: unknown section 'imports'; did you mean [import]"),
        ("port = 8400", "vigie.toml: unknown section 'port'; did you mean [server] port?"),
        ('"a\\nb" = 1', "vigie.toml: unknown section 'a\\nb'; see docs/settings.md"),
        ("server = 1", "vigie.toml: server = 1: must be a section, [server]"),
        ("[[server]]", "vigie.toml: server = [{}]: must be a section, [server]"),
    ],
)
def test_an_unknown_key_or_section_is_named_with_the_closest_known_one(text: str, said: str) -> None:
    assert refusal_with(text).startswith(said)


@pytest.mark.parametrize(
    ("variable", "closest"),
    [
        ("VIGIE_SERVER_PROT", "VIGIE_SERVER_PORT"),
        ("VIGIE_SEVER_HOST", "VIGIE_SERVER_HOST"),
        ("VIGIE_DATABSE", "VIGIE_DATABASE"),
        ("VIGIE_CONFG", "VIGIE_CONFIG"),
        ("VIGIE_PORT", "VIGIE_SERVER_PORT?"),
    ],
)
def test_an_unknown_variable_is_named_with_the_closest_known_one(variable: str, closest: str) -> None:
    message = refusal_with(environ={variable: "1"})

    assert message.startswith(f"environment: unknown setting {variable!r}; did you mean {closest}")


def test_a_variable_that_is_close_to_none_gets_no_guess() -> None:
    message = refusal_with(environ={"VIGIE_FOO": "1"})

    assert message == "environment: unknown setting 'VIGIE_FOO'; see docs/settings.md"


def test_an_unknown_flag_is_named_with_the_closest_known_one() -> None:
    message = refusal_with(overrides={"server.prot": 1})

    assert message.startswith("command line: unknown setting 'server.prot'; did you mean server.port")


def test_a_setting_that_two_variables_set_is_refused() -> None:
    message = refusal_with(environ={"VIGIE_DATABASE": "", "VIGIE_DATABASE_URL": ""})

    assert (
        message == "environment: [database] url is set twice; keep one of VIGIE_DATABASE_URL, VIGIE_DATABASE"
    )


def test_the_file_is_the_one_given_then_the_one_in_the_variable_then_the_one_in_the_directory() -> None:
    for port, name in enumerate(("given.toml", "variable.toml", "vigie.toml"), start=1):
        Path(name).write_text(f"[server]\nport = {port}\n", encoding="utf-8")
    environ = {"VIGIE_CONFIG": "variable.toml"}

    assert load_settings(file=Path("given.toml"), environ=environ).server.port == 1
    assert load_settings(file=None, environ=environ).server.port == 2
    assert load_settings(file=None, environ={"VIGIE_CONFIG": ""}).server.port == 3


def test_a_file_that_cannot_be_read_is_refused_with_the_reason(working_directory: Path) -> None:
    Path("vigie.toml").symlink_to("nowhere")
    missing = "cannot be read: No such file or directory"

    assert refusal_of() == f"vigie.toml: {missing}"
    assert refusal_of(file=Path("a")) == f"a: {missing}"
    assert refusal_of(environ={"VIGIE_CONFIG": "b"}) == f"b: {missing}"
    assert refusal_of(file=working_directory).endswith(": Is a directory")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            b"[server]\nport 1\n",
            "must be TOML: Expected '=' after a key in a key/value pair (at line 2, column 6)",
        ),
        (b"[server]\nport = 1\nport = 1\n", "must be TOML: Cannot overwrite a value (at line 3, column 9)"),
        (b"[server]\nhost = '\xe9'\n", "line 2 is not UTF-8"),
        (b"a = " + b"9" * 5000, "must be TOML: Exceeds the limit"),
        (b"a = " + b"[" * 100_000, "must be TOML: "),
    ],
)
def test_a_file_that_is_not_toml_is_refused_with_the_line(content: bytes, said: str) -> None:
    Path("vigie.toml").write_bytes(content)

    assert refusal_of().startswith(f"vigie.toml: {said}")


def test_a_byte_order_mark_and_carriage_returns_do_no_harm() -> None:
    Path("vigie.toml").write_bytes(b"\xef\xbb\xbf[server]\r\nport = 1\r\n")

    assert load_settings(file=None, environ={}).server.port == 1


def test_values_are_handed_on_in_the_form_they_are_used_in() -> None:
    environ = {
        "VIGIE_SERVER_TRUSTED_PROXIES": "10.0.0.0/8, ::1",
        "VIGIE_IDENTITY_AUDIENCE_ALIASES": "",
        "VIGIE_METRICS_LISTEN": "[::1]:9464",
        "VIGIE_DATABASE": "sqlite:////var/lib/vigie.sqlite3",
    }

    settings = settings_with(environ=environ)

    assert settings.server.trusted_networks == (ip_network("10.0.0.0/8"), ip_network("::1/128"))
    assert settings.identity.audience_aliases == ()
    assert settings.metrics.address == ("::1", 9464)
    assert Settings().metrics.address is None
    assert settings.database.path == Path("/var/lib/vigie.sqlite3")
    assert settings_with(overrides={"database.url": "sqlite:///~/a"}).database.path == Path("~/a")


@pytest.mark.parametrize(
    ("file", "url", "path"),
    [
        ("vigie.toml", "", ".vigie/vigie.sqlite3"),
        ("conf/vigie.toml", "", "conf/.vigie/vigie.sqlite3"),
        ("conf/vigie.toml", "sqlite:///data/a", "conf/data/a"),
        ("conf/vigie.toml", "sqlite:////data/a", "/data/a"),
    ],
)
def test_a_store_in_a_file_is_seen_from_the_file(
    working_directory: Path, file: str, url: str, path: str
) -> None:
    Path(file).parent.mkdir(exist_ok=True)
    Path(file).write_text(f"[database]\nurl = {json.dumps(url)}\n", encoding="utf-8")

    by_relative_name = load_settings(file=Path(file), environ={})
    by_absolute_name = load_settings(file=working_directory / file, environ={})

    assert by_relative_name.database.path == Path(path)
    assert by_absolute_name.database.path == working_directory / path


@pytest.mark.parametrize("given", ["environment", "flag"])
def test_a_store_that_no_file_names_is_seen_from_the_working_directory(given: str) -> None:
    Path("conf").mkdir()
    Path("conf/vigie.toml").touch()
    url = "sqlite:///data/a"

    settings = load_settings(
        file=Path("conf/vigie.toml"),
        environ={"VIGIE_DATABASE": url} if given == "environment" else {},
        overrides={"database.url": url} if given == "flag" else {},
    )

    assert settings.database.path == Path("data/a")


def test_the_example_file_is_all_defaults_with_and_without_its_comments() -> None:
    uncommented = re.sub(r"^# (?=[a-z_]+ = )", "", example_file(), flags=re.MULTILINE)
    written = {
        f"{section}.{key}": value
        for section, keys in tomllib.loads(uncommented).items()
        for key, value in keys.items()
    }

    assert settings_with(example_file()) == settings_with(uncommented) == Settings()
    assert all(value == {} for value in tomllib.loads(example_file()).values())
    assert list(written) == list(ANOTHER_VALUE)


def test_the_example_file_explains_every_key_in_one_or_two_lines() -> None:
    for paragraph in example_file().split("\n\n")[1:]:
        lines = paragraph.splitlines()

        assert len(lines) <= 3
        assert all(len(line) <= 110 for line in lines)


def test_every_setting_is_documented_with_its_true_default() -> None:
    rows = [line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]

    assert rows == [
        *(
            f"| `{setting.key}` | `{json.dumps(setting.default)}` | `{setting.variables[0]}` "
            f"| {setting.meaning} Allowed: {setting.allowed}. |"
            for setting in every_setting()
        ),
        *(
            f"| `{setting.key}` | {shown_default(setting)} | {setting.meaning} Allowed: {setting.allowed}. |"
            for setting in every_issuer_setting()
        ),
    ]


def shown_default(setting: Setting) -> str:
    """As TOML has it, or that there has to be one."""
    if setting.is_required:
        return "required"
    default = {} if isinstance(setting.default, ApplicationMarkSettings) else setting.default
    return f"`{json.dumps(default)}`"


def test_the_documented_refusal_is_the_real_one() -> None:
    message = refusal_with("[server]\nport = 99999\n")

    assert f"\n    {message}\n" in DOCUMENT.read_text(encoding="utf-8")
