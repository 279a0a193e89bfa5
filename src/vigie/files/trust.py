"""The rule for files that decide trust: their owner, and the permissions that they and their folders have.

Settings, keys, secrets, certificates, databases, the links that lead to them and the folders they lie in belong
to the user who runs the program or to root. Nobody else may change a file, and others than its group may not read a
private one. Everybody may write to a folder only where that lets nobody replace the files of others.
"""

import os
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
# The group may read: clusters and service managers provide secrets that way.
_BY_OTHERS_OF_PRIVATE = _BY_OTHERS | stat.S_IRWXO
# The limit of Linux.
_LINKS_MAX = 40


class UntrustedFile(Exception):
    """Another user could have changed or read a file; the message is one line that says how to correct it."""


def read_public(path: Path) -> bytes:
    """The content of a file that everybody may read: settings, certificates. Raises UntrustedFile or OSError."""
    return _read(path, _BY_OTHERS)


def read_private(path: Path) -> bytes:
    """The content of a file that others may not read: keys, secrets. Raises UntrustedFile or OSError."""
    return _read(path, _BY_OTHERS_OF_PRIVATE)


def check_public(path: Path) -> None:
    """Check a file that a library will read. Raises UntrustedFile, or OSError for an inaccessible one."""
    _check_way(path)
    _check_file(path, path.stat(), _BY_OTHERS)


def check_private(path: Path) -> None:
    """As `check_public`, for a file that others may not read."""
    _check_way(path)
    _check_file(path, path.stat(), _BY_OTHERS_OF_PRIVATE)


def _read(path: Path, forbidden: int) -> bytes:
    _check_way(path)
    # Before it is opened: opening a pipe that another user has put there would block for ever.
    _check_file(path, path.stat(), forbidden)
    with path.open("rb") as file:
        _check_file(path, os.fstat(file.fileno()), forbidden)
        return file.read()


def _check_way(path: Path) -> None:
    """Check every link that leads to a file, and the folders that these and the file are in."""
    folders: dict[Path, None] = {}
    for step in _steps(path):
        if step.is_symlink():
            _check_link(step)
        folders[step.parent] = None
    for folder in folders:
        _check_folder(folder)


def _steps(path: Path) -> Iterator[Path]:
    """The links among the parts of a path and of what they lead to, and at last what the path names."""
    here, parts, links = Path(), [*reversed(path.absolute().parts)], 0
    while parts:
        part = parts.pop()
        here = here.parent if part == os.pardir else here / part
        if here.is_symlink() and links < _LINKS_MAX:
            links += 1
            yield here
            parts += reversed(here.readlink().parts)
            here = here.parent
    yield here


def _check_link(link: Path) -> None:
    owner = link.lstat().st_uid
    if not _is_ours(owner):
        raise UntrustedFile(
            f"{link} is a link of another user (uid {owner}), who could change its target; use the path of the "
            f"file, or, if you trust the link, run `chown -h {os.geteuid()} {shlex.quote(str(link))}`"
        )


def _check_folder(folder: Path) -> None:
    found = folder.stat()
    _check_owner(folder, found)
    # In a sticky one, such as /tmp, nobody can replace the files of others; where all is read-only, nobody can.
    is_open = found.st_mode & (stat.S_IWOTH | stat.S_ISVTX) == stat.S_IWOTH
    if is_open and not os.statvfs(folder).f_flag & os.ST_RDONLY:
        raise UntrustedFile(
            f"any user can write to the folder {folder} (mode {_mode(found)}); run "
            f"`chmod o-w {shlex.quote(str(folder))}`, or move the files to another folder"
        )


def _check_file(path: Path, found: os.stat_result, forbidden: int) -> None:
    _check_owner(path, found)
    if stat.S_ISREG(found.st_mode) and found.st_mode & forbidden:
        raise UntrustedFile(
            f"{path} has too permissive a mode ({_mode(found)}); run "
            f"`chmod {_right_mode(found, forbidden)} {shlex.quote(str(path))}`"
        )


def _check_owner(path: Path, found: os.stat_result) -> None:
    owner = found.st_uid
    if not _is_ours(owner):
        raise UntrustedFile(
            f"{path} belongs to another user (uid {owner}), who could change it; run this as that user "
            f"(`sudo -u '#{owner}' vigie ...`), or, if you trust its content, "
            f"`chown {os.geteuid()} {shlex.quote(str(path))}`"
        )


def _is_ours(owner: int) -> bool:
    return owner in (0, os.geteuid())


def _mode(found: os.stat_result) -> str:
    return f"{stat.S_IMODE(found.st_mode):04o}"


def _right_mode(found: os.stat_result, forbidden: int) -> str:
    if forbidden == _BY_OTHERS:
        return "go-w"
    # A file of root is readable by its group.
    return "600" if found.st_uid == os.geteuid() else "640"
