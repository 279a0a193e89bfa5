"""The sample tenant: synthetic incidents, and callers with different permissions."""

from typing import Any

import msgspec

from vigie.core.access import APPLICATION_PERMISSIONS, Exposure
from vigie.core.audit import AuditContext
from vigie.core.client_secrets import hash_secret
from vigie.core.directory import BUILT_IN_ROLES, ClientSecret, DirectoryError, Tenant, User
from vigie.documents.defender.reading import keep_document
from vigie.documents.defender.redaction import redact
from vigie.storage.directory.store import DirectoryStore
from vigie.storage.incidents import IncidentStore
from vigie.synthetic.generator import generate
from vigie.synthetic.sample_clients import BYSTANDER, READER, RESPONDER, SampleClient

TENANT_NAME = "Sample tenant"
TENANT_DOMAIN = "sample.example"
WHOLE_TENANT_UPN, SCOPED_UPN = "ines@sample.example", "joao@sample.example"
SCOPE = "Workstations EU"

_INCIDENT_COUNT = 200
_SEED = 8400
_ALERTS_OF_A_GOOD_EXAMPLE = range(2, 4)


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """The sample tenant as it stands in a database.

    `incident_id` is an incident that the user scoped to SCOPE sees a part of.
    """

    tenant: Tenant
    incident_id: int


async def settle_sample(
    directory: DirectoryStore, incidents: IncidentStore, audit_context: AuditContext
) -> Sample:
    """Put the sample tenant into a database, or find it there."""
    tenant = await directory.find_tenant(TENANT_DOMAIN)
    if tenant is None:
        tenant = await directory.add_tenant(TENANT_NAME, guid=None, domain=TENANT_DOMAIN)
    documents = list(generate(_INCIDENT_COUNT, _SEED, tenant_id=tenant.guid))
    await incidents.put_incidents(tenant.tenant_id, map(keep_document, documents), audit_context)
    await _settle_user(directory, tenant, WHOLE_TENANT_UPN, ())
    await _settle_user(directory, tenant, SCOPED_UPN, (SCOPE,))
    read, read_and_write = APPLICATION_PERMISSIONS
    await _settle_application(directory, tenant, READER, (read,))
    await _settle_application(directory, tenant, RESPONDER, (read_and_write,))
    await _settle_application(directory, tenant, BYSTANDER, ())
    return Sample(tenant=tenant, incident_id=await _good_example(directory, tenant, documents))


async def _settle_user(
    directory: DirectoryStore, tenant: Tenant, upn: str, device_groups: tuple[str, ...]
) -> User:
    user = await directory.find_user_by_upn(tenant, upn)
    if user is None:
        user = await directory.add_user(tenant, upn)
        await directory.grant(tenant, user, BUILT_IN_ROLES[0], device_groups)
    return user


async def _settle_application(
    directory: DirectoryStore, tenant: Tenant, client: SampleClient, permissions: tuple[str, ...]
) -> None:
    found = await directory.find_application(tenant, client.name)
    if found is not None:
        kept = await directory.client_secrets(tenant, found)
        has_secret = ClientSecret(sha256=hash_secret(client.secret), expires_at=None) in kept
        if found.client_id == client.client_id and has_secret:
            return
        # Changed by hand, or of an earlier Vigie, which made new ones each time.
        await directory.remove_application(tenant, found)
    await directory.add_application(
        tenant, client.name, permissions, client_id=client.client_id, secret=client.secret
    )


async def _good_example(directory: DirectoryStore, tenant: Tenant, documents: list[dict[str, Any]]) -> int:
    """The first incident of a readable size of which the scoped user sees some alerts, but not all."""
    groups = [group for group in await directory.device_groups(tenant) if group.name == SCOPE]
    labels = frozenset(label for group in groups for label in (group.number, group.name) if label is not None)
    for document in documents:
        alerts = document["alerts"]
        left = redact(document, Exposure(device_groups=labels))
        if len(alerts) in _ALERTS_OF_A_GOOD_EXAMPLE and left and len(left["alerts"]) < len(alerts):
            incident_id: int = document["incidentId"]
            return incident_id
    raise DirectoryError("the sample has no incident that a scoped user sees a part of")
