"""The local authority: what it signs, what it cannot sign, how it is kept, and files from elsewhere."""

import ssl
import subprocess
import sys
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.support.handshakes import (
    MACHINE,
    NAMES,
    a_certificate,
    a_key,
    an_authority,
    client_context,
    days_from_now,
    old_client_context,
    public_pem,
    server_context,
    shake_hands,
)
from vigie.certificates import files as keeping_module
from vigie.certificates.files import CertificateFilesStore
from vigie.certificates.issuing import Certified, authority_from_pem, is_due, is_from, issue, new_authority
from vigie.certificates.names import LOOPBACK_NAMES, names_among
from vigie.config.settings import SettingsError
from vigie.core.instants import Instant
from vigie.files.errors import KeyFileError
from vigie.runtime.tls_context import CertificateFiles, LiveContext, secure_context

NOW = days_from_now(0)

Log = list[tuple[str, dict[str, Any]]]


@pytest.fixture
def keeping(tmp_path: Path) -> CertificateFilesStore:
    """Files with the shared authority in them."""
    keeping = CertificateFilesStore(tmp_path)
    keeping.authority_file.write_bytes(an_authority().to_pem())
    keeping.authority_file.chmod(0o600)
    keeping.public_file.write_bytes(an_authority().root_pem())
    return keeping


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys are the outside world here: a new authority takes those of the shared one, which cost a second."""
    monkeypatch.setattr("vigie.certificates.issuing.generate_private_key", lambda *_: a_key())


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Log:
    """What is logged while the test runs."""
    events: Log = []

    class _Listener:
        def __getattr__(self, level: str) -> Callable[..., None]:
            return lambda event, **fields: events.append((event, fields))

    for module in ("runtime.tls_context", "certificates.files", "runtime.tls_setup"):
        monkeypatch.setattr(f"vigie.{module}.log", _Listener())
    return events


def names_of(certified: Certified) -> x509.SubjectAlternativeName:
    return certified.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value


def refusal_of(server: ssl.SSLContext, name: str) -> str:
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        shake_hands(server, client_context(an_authority().root), name)
    return caught.value.verify_message


# What is signed


@pytest.mark.parametrize("name", sorted(NAMES | MACHINE))
def test_a_client_that_trusts_the_authority_takes_every_name(name: str, tmp_path: Path) -> None:
    server = server_context(issue(an_authority(), NOW), tmp_path)

    side = shake_hands(server, client_context(an_authority().root), name)

    assert side.version() == "TLSv1.3"


@pytest.mark.parametrize("name", ["evil.example", "microsoftonline.com", "10.1.2.4", "127.0.0.2", "::2"])
def test_a_client_that_trusts_the_authority_takes_no_other_name(name: str, tmp_path: Path) -> None:
    server = server_context(issue(an_authority(), NOW), tmp_path)

    assert "mismatch" in refusal_of(server, name)


@pytest.mark.programs("openssl")
@pytest.mark.parametrize("name", sorted(NAMES | MACHINE))
def test_openssl_finds_nothing_wrong_with_it(name: str, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(an_authority().root_pem())
    (tmp_path / "server.pem").write_bytes(public_pem(issue(an_authority(), NOW)))
    check = "-verify_ip" if names_among([name]) <= {"127.0.0.1", "::1", "10.1.2.3"} else "-verify_hostname"

    ended = openssl_verifies("-x509_strict", "-purpose", "sslserver", check, name, folder=tmp_path)

    assert ended.stdout == "server.pem: OK\n"


def openssl_verifies(*options: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["openssl", "verify", *options, "-CAfile", "ca.pem", "-untrusted", "server.pem", "server.pem"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=20,
    )


def test_a_server_certificate_is_what_every_client_takes() -> None:
    server, another = issue(an_authority(), NOW), issue(an_authority(), NOW)

    certificate = server.certificate
    assert server.key.key_size == 2048
    assert (certificate.not_valid_after_utc - certificate.not_valid_before_utc).days <= 397
    assert certificate.serial_number.bit_length() > 100
    assert certificate.serial_number != another.certificate.serial_number
    assert is_from(an_authority(), server)


def test_an_authority_lasts_ten_years_and_no_server_certificate_longer_than_it() -> None:
    authority = an_authority()
    late = days_from_now(3600)

    assert authority.is_valid(days_from_now(3650))
    assert authority.is_over(days_from_now(3653))
    assert issue(authority, late).ends_at == authority.ends_at
    assert not is_due(issue(authority, late), authority, late)


def test_authorities_that_differ_can_be_told_apart_by_their_names() -> None:
    another = new_authority(LOOPBACK_NAMES, frozenset(), NOW)

    assert another.certificate.subject != an_authority().certificate.subject
    assert (another.names, another.machine) == (LOOPBACK_NAMES, frozenset())


# What cannot be signed


@pytest.mark.parametrize(
    ("subject", "names"),
    [
        ("evil", [x509.DNSName("evil.example")]),
        ("evil", [x509.DNSName("localhost"), x509.DNSName("evil.example")]),
        ("evil", [x509.DNSName("microsoftonline.com")]),
        ("evil", [x509.DNSName("*.microsoftonline.com")]),
        ("evil", [x509.DNSName("evillogin.microsoftonline.com")]),
        ("evil", [x509.IPAddress(ip_address("10.1.2.4"))]),
        ("evil", [x509.IPAddress(ip_address("::2"))]),
        ("evil.example", []),
    ],
    ids=["other", "also-other", "parent", "wildcard", "suffix", "ipv4", "ipv6", "common-name"],
)
def test_the_key_of_the_authority_cannot_sign_for_another_name(
    subject: str, names: list[x509.GeneralName], tmp_path: Path
) -> None:
    forged = a_certificate(subject, *names, signed_by=an_authority())
    client = client_context(an_authority().root)
    client.check_hostname = False
    client.verify_flags &= ~ssl.VERIFY_X509_STRICT

    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        shake_hands(server_context(forged, tmp_path), client, "evil.example")

    assert caught.value.verify_message == "permitted subtree violation"


def test_a_name_below_one_of_the_names_can_be_signed_as_x509_knows_no_other_way(tmp_path: Path) -> None:
    below = a_certificate("below", x509.DNSName("a.login.microsoftonline.com"), signed_by=an_authority())
    client = client_context(an_authority().root)
    client.verify_flags &= ~ssl.VERIFY_X509_STRICT

    side = shake_hands(server_context(below, tmp_path), client, "a.login.microsoftonline.com")

    assert side.version() == "TLSv1.3"


@pytest.mark.programs("openssl")
@pytest.mark.parametrize(
    ("use", "purpose"),
    [
        (ExtendedKeyUsageOID.CLIENT_AUTH, "sslclient"),
        (ExtendedKeyUsageOID.EMAIL_PROTECTION, "smimesign"),
        (ExtendedKeyUsageOID.TIME_STAMPING, "timestampsign"),
    ],
)
def test_the_authority_signs_for_servers_only(
    use: x509.ObjectIdentifier, purpose: str, tmp_path: Path
) -> None:
    (tmp_path / "ca.pem").write_bytes(an_authority().root_pem())
    other = a_certificate("other", signed_by=an_authority(), use=use)
    (tmp_path / "server.pem").write_bytes(public_pem(other))

    ended = openssl_verifies("-purpose", purpose, folder=tmp_path)

    assert ended.returncode != 0


# What is spoken


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_what_is_older_than_tls_1_2_is_refused(version: ssl.TLSVersion, tmp_path: Path) -> None:
    server = server_context(issue(an_authority(), NOW), tmp_path)

    with pytest.raises(ssl.SSLError) as caught:
        shake_hands(server, old_client_context(version), "localhost")

    assert caught.value.reason == "UNSUPPORTED_PROTOCOL"


def test_tls_1_2_is_spoken_with_forward_secrecy_and_without_compression(tmp_path: Path) -> None:
    server = server_context(issue(an_authority(), NOW), tmp_path)

    side = shake_hands(server, old_client_context(ssl.TLSVersion.TLSv1_2), "localhost")

    cipher, version, _ = side.cipher() or ("", "", 0)
    assert version == "TLSv1.2"
    assert cipher.startswith("ECDHE-RSA-")
    assert "GCM" in cipher or "CHACHA20" in cipher
    assert side.compression() is None


# How the authority is kept


def settle(
    keeping: CertificateFilesStore, names: frozenset[str] = NAMES, now: Instant = NOW
) -> keeping_module.Settled:
    return keeping.settle(names, MACHINE, now)


def test_the_first_start_makes_an_authority_whose_key_nobody_else_can_read(
    tmp_path: Path, quick: None
) -> None:
    settled = settle(CertificateFilesStore(tmp_path))

    files = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
    assert files == {"ca-key.pem": 0o600, "ca-key.pem.lock": 0o600, "ca.pem": 0o644}
    assert (settled.is_new, settled.set_aside) == (True, ())
    assert settled.authority.names == NAMES | MACHINE
    assert b"PRIVATE" not in (tmp_path / "ca.pem").read_bytes()


def test_the_next_start_finds_it_and_writes_nothing(keeping: CertificateFilesStore) -> None:
    settled = settle(keeping)

    assert settled == keeping_module.Settled(authority=settled.authority)
    assert settled.authority.certificate == an_authority().certificate
    assert {file.name for file in keeping.public_file.parent.iterdir()} == {"ca-key.pem", "ca.pem"}


@pytest.mark.parametrize("names", [NAMES | {"vigie.example"}, LOOPBACK_NAMES], ids=["more", "fewer"])
def test_other_names_mean_another_authority_and_the_one_before_is_set_aside(
    names: frozenset[str], keeping: CertificateFilesStore, quick: None
) -> None:
    settled = settle(keeping, names)

    mark = an_authority().sha256.replace(":", "").lower()[:8]
    old = [keeping.public_file.with_name(name) for name in (f"ca-key.pem.{mark}", f"ca.pem.{mark}")]
    assert (settled.is_new, settled.set_aside) == (True, tuple(old))
    assert settled.authority.names == names | MACHINE
    assert authority_from_pem(old[0].read_bytes()).certificate == an_authority().certificate
    assert old[0].stat().st_mode & 0o777 == 0o600
    assert keeping.public_file.read_bytes() == settled.authority.root_pem()


def test_an_authority_that_was_set_aside_can_be_put_back(keeping: CertificateFilesStore, quick: None) -> None:
    key_file, _ = settle(keeping, LOOPBACK_NAMES).set_aside
    key_file.replace(keeping.authority_file)

    settled = settle(keeping)

    assert settled.authority.certificate == an_authority().certificate
    assert keeping.public_file.read_bytes() == an_authority().root_pem()


def test_a_machine_that_is_called_otherwise_now_keeps_its_authority(keeping: CertificateFilesStore) -> None:
    settled = keeping.settle(NAMES, frozenset({"another-container"}), NOW)

    assert not settled.is_new
    assert settled.authority.machine == MACHINE


def test_an_authority_that_has_expired_is_replaced(keeping: CertificateFilesStore, quick: None) -> None:
    assert settle(keeping, now=days_from_now(4000)).is_new


def test_a_clock_that_is_behind_costs_nobody_the_authority(keeping: CertificateFilesStore) -> None:
    assert not settle(keeping, now=Instant(0)).is_new


def test_the_public_file_is_written_again_when_it_is_gone(keeping: CertificateFilesStore) -> None:
    keeping.public_file.unlink()

    settle(keeping)

    assert keeping.public_file.read_bytes() == an_authority().root_pem()


@pytest.mark.parametrize(
    "content",
    [b"", an_authority().root_pem(), a_certificate("self").to_pem(), an_authority().to_pem()[:900]],
)
def test_a_file_that_is_no_authority_is_refused_and_left_alone(
    content: bytes, keeping: CertificateFilesStore
) -> None:
    keeping.authority_file.write_bytes(content)

    with pytest.raises(
        KeyFileError,
        match=r"ca-key\.pem is not a certificate authority of Vigie; restore the file, or remove it",
    ):
        settle(keeping)

    assert keeping.authority_file.read_bytes() == content


def test_what_is_in_the_way_is_refused_and_left_alone(tmp_path: Path, quick: None) -> None:
    (tmp_path / "ca.pem").write_text("mine", encoding="utf-8")

    with pytest.raises(KeyFileError, match=r"ca\.pem is not a certificate"):
        settle(CertificateFilesStore(tmp_path))

    assert (tmp_path / "ca.pem").read_text(encoding="utf-8") == "mine"


def test_processes_that_start_at_once_agree_on_one_authority_and_one_certificate(tmp_path: Path) -> None:
    script = """
import sys, time
from pathlib import Path
from vigie.certificates.files import CertificateFilesStore
keeping = CertificateFilesStore(Path(sys.argv[1]))
now = time.time_ns() // 100
sys.stdin.readline()
authority = keeping.settle(frozenset({"localhost"}), frozenset(), now).authority
keeping.keep_current(authority, now)
print(authority.sha256, keeping.server_file.read_bytes().hex())
"""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]

    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    # What is logged stands in front.
    answers = {process.communicate(timeout=60)[0].splitlines()[-1] for process in processes}

    assert len(answers) == 1
    assert {file.name for file in tmp_path.iterdir()} == {
        "ca-key.pem",
        "ca-key.pem.lock",
        "ca.pem",
        "server.pem",
    }


# How the server certificate is kept


def days_left(certified: Certified, days: float) -> Instant:
    """The moment when a certificate has so many days left."""
    return Instant(int(certified.ends_at.timestamp() - days * 86_400) * 10_000_000)


def test_a_server_certificate_is_due_two_months_before_its_end() -> None:
    authority = an_authority()
    server = issue(authority, NOW)

    assert not is_due(server, authority, NOW)
    assert not is_due(server, authority, days_left(server, 60.1))
    assert is_due(server, authority, days_left(server, 59.9))
    assert is_due(server, authority, days_left(server, -1))
    # Made while the clock was ahead.
    assert is_due(issue(authority, days_from_now(100)), authority, NOW)


def test_while_the_authority_is_not_valid_nothing_is_due() -> None:
    server = issue(an_authority(), NOW)

    assert not is_due(server, an_authority(), Instant(0))
    assert not is_due(server, an_authority(), days_from_now(4000))


def test_a_server_certificate_is_kept_until_it_is_due(keeping: CertificateFilesStore) -> None:
    authority = an_authority()
    keeping.keep_current(authority, NOW)
    first = keeping.server_file.read_bytes()

    keeping.keep_current(authority, days_from_now(200))
    second = keeping.server_file.read_bytes()
    keeping.keep_current(authority, days_from_now(310))

    assert first == second != keeping.server_file.read_bytes()
    assert keeping.server_file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", a_certificate("self", x509.DNSName("localhost")).to_pem()]
)
def test_a_server_certificate_that_is_not_of_the_authority_is_made_anew(
    content: bytes, keeping: CertificateFilesStore
) -> None:
    keeping.server_file.touch(mode=0o600)
    keeping.server_file.write_bytes(content)

    keeping.keep_current(an_authority(), NOW)

    assert is_from(an_authority(), keeping_certificate(keeping))


def test_one_with_the_names_of_before_is_made_anew(keeping: CertificateFilesStore, quick: None) -> None:
    keeping.keep_current(an_authority(), NOW)
    narrower = settle(keeping, LOOPBACK_NAMES).authority

    keeping.keep_current(narrower, NOW)

    assert is_from(narrower, keeping_certificate(keeping))


def keeping_certificate(keeping: CertificateFilesStore) -> Certified:
    certificate, *chain = x509.load_pem_x509_certificates(keeping.server_file.read_bytes())
    return Certified(certificate=certificate, key=a_key(), chain=tuple(chain))


def test_where_nothing_can_be_written_a_good_certificate_is_used_on(
    keeping: CertificateFilesStore, logged: Log
) -> None:
    keeping.keep_current(an_authority(), NOW)
    before = keeping.server_file.read_bytes()
    lock_out(keeping)

    keeping.keep_current(an_authority(), days_from_now(310))

    assert keeping.server_file.read_bytes() == before
    assert logged[-1][0] == "certificate_not_created"


def test_where_nothing_can_be_written_and_no_certificate_is_good_there_is_no_start(
    keeping: CertificateFilesStore,
) -> None:
    lock_out(keeping)

    with pytest.raises(OSError, match="lock"):
        keeping.keep_current(an_authority(), NOW)


def lock_out(keeping: CertificateFilesStore) -> None:
    """Root may write anywhere, but not over a directory."""
    keeping.authority_file.with_name("ca-key.pem.lock").unlink(missing_ok=True)
    keeping.authority_file.with_name("ca-key.pem.lock").mkdir()


# Files from elsewhere


def own_files(folder: Path, certified: Certified) -> CertificateFiles:
    files = CertificateFiles(certificate=folder / "cert.pem", key=folder / "key.pem")
    put(files, certified)
    return files


def put(files: CertificateFiles, certified: Certified) -> None:
    files.certificate.write_bytes(public_pem(certified))
    files.key.write_bytes(certified.to_pem())
    files.key.chmod(0o600)


def with_passphrase() -> bytes:
    return a_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"hunter2"))


@pytest.mark.parametrize(
    ("cert", "key", "reason"),
    [
        (b"", None, "[tls] cert: {cert} contains no certificate in PEM"),
        (a_certificate("self").to_pem()[:1700], None, "[tls] cert: {cert} contains no certificate in PEM"),
        (None, b"", "[tls] key: {key} contains no private key in PEM"),
        (None, public_pem(a_certificate("self")), "[tls] key: {key} contains no private key in PEM"),
        (None, an_authority().to_pem(), "[tls] key: {key} is not the key of the certificate in {cert}"),
        (None, with_passphrase(), "[tls] key: {key} is encrypted; Vigie needs a key without a passphrase"),
    ],
    ids=["empty", "cut", "no-key", "certificate-for-key", "mismatched", "passphrase"],
)
def test_files_that_cannot_be_used_are_refused_in_one_line(
    cert: bytes | None, key: bytes | None, reason: str, tmp_path: Path
) -> None:
    files = own_files(tmp_path, a_certificate("self"))
    if cert is not None:
        files.certificate.write_bytes(cert)
    if key is not None:
        files.key.write_bytes(key)

    with pytest.raises(SettingsError) as caught:
        secure_context(files)

    assert str(caught.value) == reason.format(cert=files.certificate, key=files.key)


@pytest.mark.parametrize("gone", ["cert", "key"])
def test_files_that_cannot_be_read_are_refused_with_the_reason(gone: str, tmp_path: Path) -> None:
    files = own_files(tmp_path, a_certificate("self"))
    file = tmp_path / f"{gone}.pem"
    file.unlink()

    with pytest.raises(SettingsError) as caught:
        LiveContext(files, lambda _: None, NOW)

    assert str(caught.value) == f"[tls] {gone}: {file} cannot be read: No such file or directory"


def test_an_expired_certificate_is_used_with_one_warning(tmp_path: Path, logged: Log) -> None:
    live = LiveContext(own_files(tmp_path, a_certificate("self", days=-1)), lambda _: None, NOW)
    live.refresh(NOW)

    assert [event for event, _ in logged] == ["certificate_loaded", "certificate_expired"]


def test_a_key_that_others_can_read_is_not_loaded_and_the_one_before_is_used_on(
    tmp_path: Path, logged: Log
) -> None:
    files = own_files(tmp_path, a_certificate("first"))
    live = LiveContext(files, lambda _: None, NOW)
    first = live.context
    put(files, a_certificate("second"))
    files.key.chmod(0o644)

    live.refresh(NOW)

    assert live.context is first
    assert [event for event, _ in logged] == ["certificate_loaded", "certificate_not_loaded"]
    assert f"run `chmod 600 {files.key}`" in logged[1][1]["reason"]


def test_files_that_are_replaced_are_taken_over_once_they_fit_together(tmp_path: Path, logged: Log) -> None:
    files = own_files(tmp_path, a_certificate("first"))
    live = LiveContext(files, lambda _: None, NOW)
    first = live.context
    server = issue(an_authority(), NOW)

    files.certificate.write_bytes(public_pem(server))
    live.refresh(NOW)
    half_way = live.context
    put(files, server)
    live.refresh(NOW)

    assert half_way is first
    assert live.context is not first
    assert [event for event, _ in logged] == [
        "certificate_loaded",
        "certificate_not_loaded",
        "certificate_loaded",
    ]
    shake_hands(live.context, client_context(an_authority().root), "localhost")


def test_what_has_not_changed_is_not_loaded_again(tmp_path: Path) -> None:
    live = LiveContext(own_files(tmp_path, a_certificate("self")), lambda _: None, NOW)
    first = live.context

    live.refresh(NOW)

    assert live.context is first
