"""The directory of a tenant: applications, users, roles, device groups. Plain values."""

import msgspec

from vigie.core.access import RolePermission
from vigie.core.instants import Instant


class DirectoryError(Exception):
    """What an administrator asked for cannot be done; the message is one line that says what to do."""


class Tenant(msgspec.Struct, frozen=True, kw_only=True):
    """An organisation. `tenant_id` is its key inside the database, `guid` its name everywhere else."""

    tenant_id: int
    guid: str
    name: str
    domain: str | None


class Application(msgspec.Struct, frozen=True, kw_only=True):
    """A program that may ask for tokens, and what it may do with them.

    `permissions` are its own, `delegated_permissions` those that people may let it use for them. A public one
    can keep no secret, and has none: it runs on somebody's machine.
    """

    client_id: str
    name: str
    permissions: tuple[str, ...]
    delegated_permissions: tuple[str, ...] = ()
    is_public: bool = False

    @property
    def all_permissions(self) -> tuple[str, ...]:
        """Both kinds; no name is in both."""
        return (*self.permissions, *self.delegated_permissions)


class ClientSecret(msgspec.Struct, frozen=True, kw_only=True):
    """A secret of an application, as its SHA-256. `expires_at` is None for the current one."""

    sha256: bytes
    expires_at: Instant | None


class ClientCertificate(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate by which an application proves itself: `der` is all of it, the hashes are its names."""

    sha256: bytes
    sha1: bytes
    der: bytes
    valid_from: Instant
    expires_at: Instant

    @property
    def thumbprint(self) -> str:
        """What people call it: its SHA-256 in hexadecimal digits."""
        return self.sha256.hex().upper()


class AssertionUse(msgspec.Struct, frozen=True, kw_only=True):
    """One use of an assertion, as fingerprints: which it is, from which address, for which resource.

    It is good once for each resource, and only from the address that it first came from.
    """

    assertion: bytes
    from_address: bytes
    for_resource: bytes


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A person, named by `upn`. `object_id` is the GUID that tokens carry."""

    object_id: str
    upn: str


class Role(msgspec.Struct, frozen=True, kw_only=True):
    """A named set of role permissions. The built-in ones are every tenant's and cannot be removed."""

    name: str
    permissions: frozenset[RolePermission]
    built_in: bool = False


class DeviceGroup(msgspec.Struct, frozen=True, kw_only=True):
    """A device group. `number` is what documents number it by; None for one known by name only."""

    name: str
    number: int | None

    @property
    def is_nameless(self) -> bool:
        """Whether it is known by its number alone, and called after that."""
        return self.number is not None and self.name == name_after(self.number)


def name_after(number: int) -> str:
    """What a group is called of which only the number is known."""
    return f"#{number}"


BUILT_IN_ROLES = (
    Role(name="security-reader", permissions=frozenset({RolePermission.VIEW_DATA}), built_in=True),
    Role(name="security-operator", permissions=frozenset(RolePermission), built_in=True),
    Role(name="security-administrator", permissions=frozenset(RolePermission), built_in=True),
)
