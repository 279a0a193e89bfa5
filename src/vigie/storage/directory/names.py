"""Names in the directory: the rules that one must keep."""

import re
import uuid

from vigie.core.directory import DirectoryError
from vigie.core.letter_case import lowered

NIL_GUID = str(uuid.UUID(int=0))
RESERVED_TENANT_NAMES = ("common", "organizations", "consumers")

_DOMAIN = re.compile(
    r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+", re.ASCII
)
_NAME_LENGTH_MAX = 200


def check_name(kind: str, name: str) -> None:
    """Raise DirectoryError unless it can be a name."""
    if not name.strip() or len(name) > _NAME_LENGTH_MAX or not name.isprintable():
        raise DirectoryError(f"a {kind}'s name is 1 to {_NAME_LENGTH_MAX} printable characters")


def check_upn(upn: str) -> None:
    """Raise DirectoryError unless it has the form of a user principal name."""
    check_name("user", upn)
    name, _, domain = upn.rpartition("@")
    if not name or not domain or " " in upn:
        raise DirectoryError(f"{upn!r} is not a user principal name such as ada@contoso.example")


def checked_guid(text: str | None) -> str:
    """A GUID in its usual form, a new one for None. Raises DirectoryError."""
    if text is None:
        return str(uuid.uuid4())
    try:
        return str(uuid.UUID(text))
    except ValueError as error:
        raise DirectoryError(
            f"{text!r} is not a GUID such as 3b0f6c1a-52d7-4c0e-9c57-0a4e6f1d2b88"
        ) from error


def checked_domain(text: str | None) -> str | None:
    """A domain name in lower case. Raises DirectoryError."""
    if text is None:
        return None
    domain = lowered(text)
    if not _DOMAIN.fullmatch(domain) or domain in RESERVED_TENANT_NAMES:
        raise DirectoryError(f"{text!r} is not a domain name such as contoso.example")
    return domain
