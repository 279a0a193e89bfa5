"""Access: the permissions of a caller, and the exposure that says which alerts the caller may know about."""

from collections.abc import Iterable
from enum import Enum, StrEnum

import msgspec

from vigie.core.errors import PermissionMissing, TokenPermissionMissing

DeviceGroupLabel = int | str
"""The group of a device: its number where it has one, else its name."""

UNGROUPED_DEVICES = "Ungrouped devices"


class RolePermission(StrEnum):
    """What a role allows a user to do with the incidents in its scope."""

    VIEW_DATA = "view-data"
    MANAGE_INCIDENTS = "manage-incidents"


class CallerKind(Enum):
    """Whose token it is."""

    APPLICATION = "application"
    USER = "user"


READ_PERMISSIONS = {
    CallerKind.APPLICATION: ("Incident.Read.All", "Incident.ReadWrite.All"),
    CallerKind.USER: ("Incident.Read", "Incident.ReadWrite"),
}
"""The token permissions of which any one allows reading. Source: docs/api/README.md, "Permissions"."""

WRITE_PERMISSIONS = {kind: names[1:] for kind, names in READ_PERMISSIONS.items()}
"""Those of which any one allows updating too."""

APPLICATION_PERMISSIONS = READ_PERMISSIONS[CallerKind.APPLICATION]
DELEGATED_PERMISSIONS = READ_PERMISSIONS[CallerKind.USER]


class Exposure(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller may know about: alerts without devices, and alerts with a device in `device_groups`.

    With `every_stub` also each stub of a merged incident; without, one is known about with its target only.
    """

    device_groups: frozenset[DeviceGroupLabel] = frozenset()
    whole_tenant: bool = False
    every_stub: bool = False


WHOLE_TENANT = Exposure(whole_tenant=True)


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """A role given to a user, over the whole tenant or over some device groups."""

    role: str
    permissions: frozenset[RolePermission]
    device_groups: frozenset[DeviceGroupLabel] = frozenset()
    whole_tenant: bool = False


Principal = tuple[int, str, str]
"""A tenant, an application in it, and one user of that; an empty text for the application by itself."""


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """The sender of a request, as far as a checked token and the directory prove it.

    `granted` are the permissions that the token states, whatever they are; of one of our own, those that its
    application still has. `exposure` is None for a user
    without any assignment that carries view-data, `manages` for one without manage-incidents. `issuer` is whose
    token it was, empty for this installation's own, and `subject` who a user is there.
    """

    tenant_id: int
    tenant_guid: str
    kind: CallerKind
    application_id: str
    name: str
    granted: tuple[str, ...]
    exposure: Exposure | None
    manages: Exposure | None = None
    issuer: str = ""
    subject: str = ""

    @property
    def account(self) -> tuple[int, str]:
        """What the caller's calls are counted under. Two issuers may each have an application of one id."""
        application = self.application_id
        return self.tenant_id, f"{application} {self.issuer}" if self.issuer else application

    @property
    def principal(self) -> Principal:
        """Who calls, for limits on what one has under way: an application by itself, or one of its users."""
        is_user = self.kind is CallerKind.USER
        return *self.account, (self.subject or self.name) if is_user else ""


def effective_permissions(stated: tuple[str, ...], present: tuple[str, ...]) -> tuple[str, ...]:
    """What a token may still be used for: of what it states, what its application has at present.

    To write implies to read: an application that may write no longer, or writes from now on, goes on reading.
    """
    kept = [each for each in stated if each in _implied(present)]
    return tuple(dict.fromkeys([*kept, *(each for each in present if each in _implied(stated))]))


def _implied(permissions: tuple[str, ...]) -> set[str]:
    implied = set(permissions)
    for kind, names in WRITE_PERMISSIONS.items():
        if implied.intersection(names):
            implied.update(READ_PERMISSIONS[kind])
    return implied


def overlap(one: Exposure, other: Exposure) -> Exposure:
    """What both exposures let know about."""
    if one.whole_tenant:
        return other
    if other.whole_tenant:
        return one
    return Exposure(
        device_groups=one.device_groups & other.device_groups, every_stub=one.every_stub and other.every_stub
    )


def exposure_of(
    assignments: Iterable[Assignment],
    permission: RolePermission = RolePermission.VIEW_DATA,
    *,
    every_stub: bool = False,
) -> Exposure | None:
    """The union over the assignments that carry the permission; None when none does.

    None is not an empty exposure: someone who may view data, but of no device group, still sees alerts
    without devices.
    """
    carrying = [each for each in assignments if permission in each.permissions]
    if not carrying:
        return None
    if any(each.whole_tenant for each in carrying):
        return WHOLE_TENANT
    groups = frozenset[DeviceGroupLabel]().union(*(each.device_groups for each in carrying))
    return Exposure(device_groups=groups, every_stub=every_stub)


def require_read(caller: Caller) -> Exposure:
    """The exposure with which the caller may read incidents. Raises PermissionMissing when it may not.

    Source: docs/api/README.md, "Permissions": a token permission, and for users also view-data. An application
    sees the whole tenant.
    """
    return _require(caller, READ_PERMISSIONS[caller.kind])


def require_write(caller: Caller) -> Exposure:
    """The exposure with which the caller may read what it updates. Raises PermissionMissing when it may not.

    Whether it may also manage the incident in question is for `caller.manages` to say: that may reach less far.
    """
    exposure = _require(caller, WRITE_PERMISSIONS[caller.kind])
    if caller.manages is None:
        raise PermissionMissing(
            "The user has no role that allows managing incidents.",
            detail="no assignment of the user carries manage-incidents",
        )
    return exposure


def _require(caller: Caller, required: tuple[str, ...]) -> Exposure:
    if not any(permission in required for permission in caller.granted):
        raise TokenPermissionMissing(
            required=required, granted=caller.granted, is_application=caller.kind is CallerKind.APPLICATION
        )
    if caller.exposure is None:
        raise PermissionMissing(
            "The user has no role that allows viewing security data.",
            detail="no assignment of the user carries view-data",
        )
    return caller.exposure
