"""Rows of the directory as the values they stand for."""

from collections.abc import Iterable, Mapping

from vigie.core.access import Assignment, RolePermission
from vigie.core.directory import Application, ClientCertificate, Role, Tenant, User
from vigie.storage.database import Row


def tenant_of(row: Row) -> Tenant:
    """A row of tenants."""
    tenant_id, guid, name, domain = row
    return Tenant(tenant_id=tenant_id, guid=guid, name=name, domain=domain)


def application_of(row: Row) -> Application:
    """A row of applications."""
    client_id, name, permissions, delegated_permissions, is_public = row
    return Application(
        client_id=client_id,
        name=name,
        permissions=tuple(permissions.split()),
        delegated_permissions=tuple(delegated_permissions.split()),
        is_public=bool(is_public),
    )


def certificate_of(row: Row) -> ClientCertificate:
    """A row of certificates."""
    sha256, sha1, der, valid_from, expires_at = row
    return ClientCertificate(sha256=sha256, sha1=sha1, der=der, valid_from=valid_from, expires_at=expires_at)


def role_of(row: Row) -> Role:
    """A row of roles."""
    name, permissions = row
    return Role(name=name, permissions=frozenset(RolePermission(each) for each in permissions.split()))


def user_of(row: Row) -> User:
    """A row of users."""
    object_id, upn = row
    return User(object_id=object_id, upn=upn)


def assignments_of(
    rows: Iterable[Row], permissions: Mapping[str, frozenset[RolePermission]]
) -> list[Assignment]:
    """Rows of assignments, one for each device group of each, with the permissions of their roles."""
    found: dict[str, Assignment] = {}
    for assignment_id, role, whole_tenant, number, name in rows:
        earlier = found.get(assignment_id)
        labels = earlier.device_groups if earlier else frozenset()
        found[assignment_id] = Assignment(
            role=role,
            permissions=permissions.get(role, frozenset()),
            # A device may name its group by number or, without one, by name.
            device_groups=labels | {label for label in (number, name) if label is not None},
            whole_tenant=bool(whole_tenant),
        )
    return list(found.values())
