"""The one rule for files that decide trust, asked of every such file: who may own it, change it and read it."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.commands import done, run
from tests.support.handshakes import a_certificate, public_pem
from vigie.certificates.files import CertificateFilesStore
from vigie.certificates.names import LOOPBACK_NAMES
from vigie.config.sources import load_settings
from vigie.files.trust import UntrustedFile, check_private, read_private, read_public
from vigie.identity.keys.key_encryption import key_encryption_by
from vigie.runtime.clock import now
from vigie.runtime.tls_context import CertificateFiles, secure_context
from vigie.runtime.tls_setup import machine_name

SOMEBODY_ELSE = 65534
SERVICE = 10001

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")

SERVE = ("serve", "--port", "0")
AUTO = (*SERVE, "--tls", "auto")
OWN = (*SERVE, "--tls-cert", "cert.pem", "--tls-key", "key.pem")
QUOTAS = {
    "VIGIE_QUOTAS_STORE": "valkeys://127.0.0.1:1",
    "VIGIE_QUOTAS_PASSWORD_FILE": "quotas/password",
    "VIGIE_QUOTAS_CA_FILE": "quotas/ca.pem",
}
POSTGRES = "postgresql://vigie@127.0.0.1:1/vigie"
WITH_AN_ISSUER = """
[[identity.issuers]]
issuer = "https://login.example"
ca = "issuer/ca.pem"
audiences = ["api"]
tenants = ["contoso.example"]
may_grant = ["Incident.Read"]
"""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A file that decides trust, and a command that trusts it."""

    file: str
    command: tuple[str, ...] = ("tenant", "list")
    environ: Mapping[str, str] = field(default_factory=dict)
    is_private: bool = True


CASES = (
    Case(file="vigie.toml", is_private=False),
    Case(file="conf/vigie.toml", command=("tenant", "list", "--config", "conf/vigie.toml"), is_private=False),
    Case(file="conf/vigie.toml", environ={"VIGIE_CONFIG": "conf/vigie.toml"}, is_private=False),
    Case(file=".vigie/vigie.sqlite3"),
    Case(file=".vigie/vigie.sqlite3-wal"),
    Case(file=".vigie/vigie.sqlite3-shm"),
    Case(file=".vigie/vigie.sqlite3-journal"),
    Case(file=".vigie/vigie.sqlite3", command=("backup", "copy.sqlite3")),
    Case(file=".vigie/vigie.sqlite3", command=SERVE),
    Case(file=".vigie/signing-keys.json", command=("keys", "rotate")),
    Case(file=".vigie/signing-keys.json", command=SERVE),
    Case(
        file="secrets/keys",
        command=("keys", "rotate"),
        environ={"VIGIE_KEYS_SECRET_FILE": "secrets/keys"},
    ),
    Case(file="tls/ca-key.pem", command=AUTO, environ={"VIGIE_TLS_FOLDER": "tls"}),
    Case(file="tls/server.pem", command=AUTO, environ={"VIGIE_TLS_FOLDER": "tls"}),
    Case(file="tls/ca.pem", command=AUTO, environ={"VIGIE_TLS_FOLDER": "tls"}, is_private=False),
    Case(file="key.pem", command=OWN),
    Case(file="cert.pem", command=OWN, is_private=False),
    Case(file="quotas/password", command=SERVE, environ=QUOTAS),
    Case(file="quotas/ca.pem", command=SERVE, environ=QUOTAS, is_private=False),
    Case(
        file="issuer/ca.pem",
        command=(*SERVE, "--config", "with-an-issuer.toml"),
        is_private=False,
    ),
    Case(
        file="secrets/client",
        command=("app", "add", "reader", "--tenant", "contoso", "--client-secret-file", "secrets/client"),
    ),
    Case(file="pg/key.pem", command=("tenant", "list", "--database", f"{POSTGRES}?sslkey=pg/key.pem")),
    Case(file="pg/pass", command=("tenant", "list", "--database", f"{POSTGRES}?passfile=pg/pass")),
    Case(
        file="pg/ca.pem",
        command=("tenant", "list", "--database", f"{POSTGRES}?sslrootcert=pg/ca.pem"),
        is_private=False,
    ),
    Case(
        file="pg/cert.pem",
        command=("tenant", "list", "--database", f"{POSTGRES}?sslcert=pg/cert.pem"),
        is_private=False,
    ),
)

each_file = pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.file} {case.command[0]}")


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all of the files in it, as they should be."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        done("init")
        done("tenant", "add", "contoso")
        Path("tls").mkdir()
        keeping = CertificateFilesStore(Path("tls"))
        keeping.keep_current(keeping.settle(LOOPBACK_NAMES, machine_name(), now()).authority, now())
        own = a_certificate("own")
        Path("cert.pem").write_bytes(public_pem(own))
        Path("key.pem").write_bytes(own.to_pem())
        Path("with-an-issuer.toml").write_text(WITH_AN_ISSUER, encoding="utf-8")
        for case in CASES:
            file = Path(case.file)
            file.parent.mkdir(exist_ok=True)
            file.open("ab").close()
            file.chmod(0o600)
        Path("secrets/keys").write_text("x" * 64, encoding="utf-8")
    return folder


@pytest.fixture
def working_directory(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it to spoil."""
    folder = tmp_path / "here"
    shutil.copytree(made, folder)
    monkeypatch.chdir(folder)
    return folder


def refusal_of(case: Case, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in case.environ.items():
        monkeypatch.setenv(name, value)
    ended = run(*case.command)
    assert ended.code == 1, ended
    return ended.refusal


@needs_root
@each_file
def test_a_file_of_another_user_is_refused(
    case: Case, working_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.chown(case.file, SOMEBODY_ELSE, -1)

    refusal = refusal_of(case, monkeypatch)

    assert f"{case.file} belongs to another user (uid {SOMEBODY_ELSE})" in refusal
    assert "`sudo -u '#65534' vigie ...`" in refusal
    assert f"`chown 0 {case.file}`" in refusal


@each_file
def test_a_file_that_others_can_change_is_refused(
    case: Case, working_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(case.file).chmod(0o666)

    mend = "600" if case.is_private else "go-w"
    assert f"{case.file} has too permissive a mode (0666); run `chmod {mend} {case.file}`" in refusal_of(
        case, monkeypatch
    )


@pytest.mark.parametrize("case", [case for case in CASES if case.is_private], ids=lambda case: case.file)
def test_a_private_file_that_others_can_read_is_refused(
    case: Case, working_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(case.file).chmod(0o644)

    assert f"mode (0644); run `chmod 600 {case.file}`" in refusal_of(case, monkeypatch)


@needs_root
@each_file
def test_a_link_of_another_user_is_refused(
    case: Case, working_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = Path(case.file)
    file.rename("elsewhere")
    file.symlink_to(Path("elsewhere").absolute())
    os.chown(file, SOMEBODY_ELSE, -1, follow_symlinks=False)

    refusal = refusal_of(case, monkeypatch)

    assert f"{file.absolute()} is a link of another user (uid {SOMEBODY_ELSE})" in refusal
    assert f"`chown -h 0 {file.absolute()}`" in refusal


@each_file
def test_a_file_in_a_folder_that_everybody_can_write_is_refused(
    case: Case, working_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(case.file).absolute().parent
    folder.chmod(0o777)

    refusal = refusal_of(case, monkeypatch)

    assert f"any user can write to the folder {folder} (mode 0777)" in refusal
    assert f"`chmod o-w {folder}`" in refusal


@needs_root
@each_file
def test_a_file_in_a_folder_of_another_user_is_refused(
    case: Case, working_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(case.file).absolute().parent
    os.chown(folder, SOMEBODY_ELSE, -1)

    assert f"{folder} belongs to another user" in refusal_of(case, monkeypatch)


@needs_root
def test_a_command_of_root_takes_no_settings_that_somebody_left_where_it_is_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("vigie.toml").write_text('[database]\nurl = "sqlite:///mine.sqlite3"\n', encoding="utf-8")
    os.chown("vigie.toml", SOMEBODY_ELSE, -1)

    assert "vigie.toml belongs to another user" in run("tenant", "add", "contoso").refusal
    assert not Path("mine.sqlite3").exists()


def test_the_status_says_how_to_mend_keys_that_are_not_taken(working_directory: Path) -> None:
    Path(".vigie/signing-keys.json").chmod(0o644)

    assert "run `chmod 600 .vigie/signing-keys.json`" in done("status")["keys"]["problem"]


# What is right


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640, 0o440])
def test_a_group_may_read_a_private_file(mode: int, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(b"x")
    file.chmod(mode)

    assert read_private(file) == b"x"


@pytest.mark.parametrize(("mode", "is_refused"), [(0o644, False), (0o444, False), (0o664, True)])
def test_everybody_may_read_a_public_file(mode: int, is_refused: bool, tmp_path: Path) -> None:
    file = tmp_path / "certificate"
    file.write_bytes(b"x")
    file.chmod(mode)

    if is_refused:
        with pytest.raises(UntrustedFile, match=r"run `chmod go-w"):
            read_public(file)
    else:
        assert read_public(file) == b"x"


@pytest.mark.parametrize("mode", [0o1777, 0o775, 0o755])
def test_a_folder_may_be_sticky_or_of_a_group(mode: int, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.touch(mode=0o600)
    tmp_path.chmod(mode)

    check_private(file)


@pytest.mark.parametrize("target", ["link", "../links/link", "/absolute"])
def test_links_of_our_own_are_followed_wherever_they_lead(target: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    links = tmp_path / "links"
    links.mkdir()
    (links / "link").symlink_to("../file")
    (tmp_path / "folder").symlink_to("links")
    (links / "another").symlink_to(links / "link" if target == "/absolute" else target)

    assert read_public(tmp_path / "folder" / "another") == b"x"


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    for one, other in (("a", "b"), ("b", "a")):
        (tmp_path / one).symlink_to(other)

    with pytest.raises(OSError, match="Too many levels of symbolic links"):
        read_public(tmp_path / "a")


def test_a_pipe_that_somebody_may_write_settings_into_is_read(tmp_path: Path) -> None:
    ours, theirs = os.pipe()
    os.write(theirs, b"[server]\nport = 1234\n")
    os.close(theirs)

    assert load_settings(file=Path(f"/dev/fd/{ours}"), environ={}).server.port == 1234
    os.close(ours)


def test_no_settings_can_be_named_as_dev_null() -> None:
    assert read_public(Path("/dev/null")) == b""


@contextmanager
def as_service() -> Iterator[None]:
    """Be the user that a service runs as."""
    os.setegid(SERVICE)
    os.seteuid(SERVICE)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


@pytest.fixture
def etc() -> Iterator[Path]:
    """A folder that every user can walk through, as /etc."""
    with TemporaryDirectory(dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def of_root(file: Path, content: bytes, mode: int, group: int = 0) -> Path:
    file.write_bytes(content)
    file.chmod(mode)
    os.chown(file, 0, group)
    return file


@needs_root
def test_a_service_reads_the_settings_of_root(etc: Path) -> None:
    file = of_root(etc / "vigie.toml", b"[server]\nport = 1234\n", 0o644)

    with as_service():
        assert load_settings(file=file, environ={}).server.port == 1234


@needs_root
def test_a_service_reads_a_secret_as_kubernetes_mounts_it(etc: Path) -> None:
    """Links of root into a folder that is replaced as a whole; the group is `fsGroup`."""
    etc.chmod(0o1777)
    dated = etc / "..2026_11_30"
    dated.mkdir(mode=0o755)
    os.chown(dated, 0, SERVICE)
    of_root(dated / "keys-secret", b"x" * 64, 0o440, SERVICE)
    (etc / "..data").symlink_to(dated.name)
    (etc / "keys-secret").symlink_to("..data/keys-secret")

    with as_service():
        key_encryption_by(etc / "keys-secret")
    (dated / "keys-secret").chmod(0o644)

    with as_service(), pytest.raises(UntrustedFile, match=r"mode \(0644\); run `chmod 640"):
        key_encryption_by(etc / "keys-secret")


@needs_root
def test_a_service_reads_the_files_of_certbot_once_its_group_may(etc: Path) -> None:
    own = a_certificate("own")
    live, archive = etc / "live", etc / "archive"
    for folder in (live, archive):
        folder.mkdir(mode=0o755)
    of_root(archive / "fullchain1.pem", public_pem(own), 0o644)
    of_root(archive / "privkey1.pem", own.to_pem(), 0o640, SERVICE)
    for name in ("fullchain", "privkey"):
        (live / f"{name}.pem").symlink_to(f"../archive/{name}1.pem")

    with as_service():
        secure_context(CertificateFiles(certificate=live / "fullchain.pem", key=live / "privkey.pem"))


@needs_root
@pytest.mark.parametrize("spoil", [lambda file: os.chown(file, 0, 0), lambda file: os.chown(file, 4, 4)])
def test_a_service_takes_its_store_from_itself_and_root_alone(
    etc: Path, spoil: Callable[[Path], object]
) -> None:
    file = etc / "vigie.sqlite3"
    file.touch(mode=0o600)
    spoil(file)

    with as_service():
        if file.stat().st_uid:
            with pytest.raises(UntrustedFile, match=r"\(uid 4\)"):
                check_private(file)
        else:
            check_private(file)
