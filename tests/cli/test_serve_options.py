"""A plain `vigie serve` is read without the library of the command line, and read alike."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vigie.cli.common import PLAIN
from vigie.cli.main import program
from vigie.cli.serve import ServeOptions, plain_options
from vigie.config.settings import ServerSettings, Settings
from vigie.runtime.server import AddressUnavailable, bound

NAMES = ("--host", "--port", "--public-url", "--tls", "--tls-name", "--tls-cert", "--tls-key", "--config")
words = st.sampled_from(
    ["serve", "auto", "0", "8400", "007", "::1", "a b", "x=y", "é", "--port", "-1", "--", ""]
)
options = st.tuples(st.sampled_from((*NAMES, "--database", "--json", "--port=1", "-h", "port")), words)
lines = st.lists(options, max_size=5).map(lambda pairs: ["serve", *(word for pair in pairs for word in pair)])


def as_the_library_reads(arguments: list[str]) -> ServeOptions:
    _, bound, _ = program().parse_args(arguments, exit_on_error=False, print_error=False)
    said = dict(bound.arguments)
    common = said.pop("common", PLAIN)
    return ServeOptions(
        tls_names=said.pop("tls_name", ()),
        config=common.config,
        database=common.database,
        json=common.json,
        **said,
    )


@example(["serve"])
@example(["serve", *(word for name in NAMES for word in (name, "1"))])
@given(lines)
def test_what_is_plain_is_read_as_the_library_reads_it(arguments: list[str]) -> None:
    plain = plain_options(arguments)

    if plain is not None:
        assert plain == as_the_library_reads(arguments)


def test_what_is_typed_every_day_is_plain() -> None:
    assert plain_options(["serve"]) == ServeOptions()
    assert plain_options(
        ["serve", "--host", "0.0.0.0", "--port", "443", "--tls", "auto", "--tls-name", "vigie.example"]
    ) == ServeOptions(host="0.0.0.0", port=443, tls="auto", tls_names=["vigie.example"])
    assert plain_options(["serve", "--config", "a.toml", "--database", "sqlite:///b"]) == ServeOptions(
        config=Path("a.toml"), database="sqlite:///b"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--version"],
        ["demo", "--port", "1"],
        ["serve", "--help"],
        ["serve", "--json"],
        ["serve", "--debug", "--port", "1"],
        ["serve", "--port"],
        ["serve", "--port", "x"],
        ["serve", "--port", "1.5"],
        ["serve", "--port", "-1"],
        ["serve", "--port", "1", "--port", "2"],
        ["serve", "--port=1"],
        ["serve", "--tls-name", "a.example", "--tls-name", "b.example"],
        ["serve", "--host", ""],
        ["serve", "--unknown", "1"],
        ["serve", "here"],
    ],
    ids=" ".join,
)
def test_all_else_is_left_to_the_library(arguments: list[str]) -> None:
    assert plain_options(arguments) is None


def test_two_servers_never_have_one_address() -> None:
    with bound(Settings(server=ServerSettings(port=0))) as first:
        port = first.main.getsockname()[1]
        taken = Settings(server=ServerSettings(port=port))

        with pytest.raises(AddressUnavailable, match=f"port {port}"), bound(taken):
            pass
