"""Erlang/OTP calls a server whose certificate Vigie has made, and checks it as it does by itself."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509

from tests.support.commands import events_in, served
from tests.support.handshakes import client_context, server_context, shake_hands
from tests.support.paths import ROOT
from vigie.certificates import issuing
from vigie.certificates.files import CertificateFilesStore
from vigie.certificates.names import LOOPBACK_NAMES
from vigie.runtime.clock import now
from vigie.runtime.tls_setup import machine_name

CLIENT = ROOT / "tests/support/erlang_client.escript"

pytestmark = pytest.mark.programs("escript")


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def older_authority(monkeypatch: pytest.MonkeyPatch) -> Iterator[issuing.CertificateAuthority]:
    """One in the folder of the server that limits the addresses as well, as they were made before."""
    with monkeypatch.context() as patch:
        patch.setattr("vigie.certificates.issuing.host_names", lambda names: names)
        folder = Path(".vigie")
        folder.mkdir(mode=0o700)
        yield CertificateFilesStore(folder).settle(LOOPBACK_NAMES, machine_name(), now()).authority


def erlang_calls(url: str, ca: str, *names: str) -> dict[str, str]:
    """What Erlang says of each name of a server."""
    ended = subprocess.run(
        ["escript", str(CLIENT), ca, str(urlsplit(url).port), *names],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return dict(line.split(" ", 1) for line in ended.stdout.splitlines())


def test_erlang_is_answered_under_a_name_and_under_an_address() -> None:
    with served("--port", "0", "--tls", "auto") as (_, said):
        answers = erlang_calls(said["url"], said["ca"], "localhost", "127.0.0.1")

    assert answers == {"localhost": '<<"HTTP/1.1 200">>', "127.0.0.1": '<<"HTTP/1.1 200">>'}


def test_an_authority_of_before_serves_on_and_says_what_to_do_for_erlang(
    older_authority: issuing.CertificateAuthority,
) -> None:
    log = Path("log")
    kept = Path(".vigie/ca-key.pem").read_bytes()

    with served("--port", "0", "--tls", "auto", log=log) as (_, said):
        answers = erlang_calls(said["url"], said["ca"], "localhost")

    events = [event["event"] for event in events_in(log)]
    assert answers == {"localhost": "internal_error"}
    assert "authority_without_erlang" in events
    assert "authority_replaced" not in events
    assert Path(".vigie/ca-key.pem").read_bytes() == kept


def test_other_clients_take_what_an_authority_of_before_signs(
    older_authority: issuing.CertificateAuthority, tmp_path: Path
) -> None:
    server = server_context(issuing.issue(older_authority, now()), tmp_path)

    for name in LOOPBACK_NAMES:
        assert shake_hands(server, client_context(older_authority.root), name).version() == "TLSv1.3"


def test_an_authority_that_was_removed_is_renewed_as_the_documents_say(
    older_authority: issuing.CertificateAuthority,
) -> None:
    Path(".vigie/ca-key.pem").unlink()
    trusted = Path("trusted.pem")

    with served("--port", "0", "--tls", "auto") as (_, said):
        trusted.write_bytes(Path(said["ca"]).read_bytes())
        answers = erlang_calls(said["url"], str(trusted), "localhost", "127.0.0.1")

    assert set(answers.values()) == {'<<"HTTP/1.1 200">>'}
    assert x509.load_pem_x509_certificate(trusted.read_bytes()) != older_authority.root
