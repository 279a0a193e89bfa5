"""Evidence: the entities of an alert, each with the keys of its type.

Keys without a value are left out. Their order is the documented one of all 31; undocumented keys stand behind
those they belong to. Source: docs/api/incident-document.md, "Entity".
"""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from vigie.synthetic import inventory
from vigie.synthetic.organisation import Fields, Organisation, Person
from vigie.synthetic.seeded_random import SeededRandom
from vigie.synthetic.timestamps import DAY, HOUR, written
from vigie.synthetic.word_lists import FINDINGS


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """Where the evidence of one alert lies. `device_ids` are the devices it can be bound to, if any."""

    rng: SeededRandom
    organisation: Organisation
    people: Sequence[Person]
    device_ids: Sequence[str]
    began_at: int
    evidence_created_time: str


def gather(scene: Scene, entity_types: Iterable[str]) -> list[Fields]:
    """The entities of these types, in their order."""
    return [_MAKERS[entity_type](scene) for entity_type in entity_types]


def _found(scene: Scene, entity_type: str) -> Fields:
    verdict, remediation_status = scene.rng.pick(FINDINGS)
    return {
        "entityType": entity_type,
        "evidenceCreationTime": scene.evidence_created_time,
        "verdict": verdict,
        "remediationStatus": remediation_status,
    }


def _bound(scene: Scene, entity: Fields) -> Fields:
    if scene.device_ids:
        entity["deviceId"] = scene.rng.pick(scene.device_ids)
    return entity


def _user(scene: Scene) -> Fields:
    return _found(scene, "User") | scene.rng.pick(scene.people).account


def _ip(scene: Scene) -> Fields:
    return _found(scene, "Ip") | {"ipAddress": scene.rng.pick(scene.organisation.ip_addresses)}


def _url(scene: Scene) -> Fields:
    return _found(scene, "Url") | {"url": scene.rng.pick(scene.organisation.urls)}


def _file(scene: Scene) -> Fields:
    return _bound(scene, _found(scene, "File") | scene.rng.pick(scene.organisation.files))


def _process(scene: Scene) -> Fields:
    rng = scene.rng
    started_at = scene.began_at - rng.mostly_short(HOUR)
    process_id = _process_id(rng)
    # Captures held only these keys; the documentation has the rest.
    if rng.chance(0.25):
        brief = {"processId": process_id, "processCreationTime": written(started_at)}
        return _bound(scene, _found(scene, "Process") | brief)
    entity = _found(scene, "Process") | rng.pick(scene.organisation.programs)
    entity["processId"] = process_id
    entity["processCreationTime"] = written(started_at)
    entity["parentProcessId"] = _process_id(rng)
    entity["parentProcessCreationTime"] = written(started_at - rng.mostly_short(DAY))
    return _bound(scene, entity | rng.pick(scene.people).account)


def _process_id(rng: SeededRandom) -> int:
    return 400 + 4 * rng.below(8000)


def _mailbox(scene: Scene) -> Fields:
    return _found(scene, "Mailbox") | scene.rng.pick(scene.people).mailbox


def _mail_message(scene: Scene) -> Fields:
    rng = scene.rng
    recipient = rng.pick(scene.people).address
    host = rng.pick(inventory.ATTACKER_HOSTS)
    return _found(scene, "MailMessage") | {
        "userPrincipalName": recipient,
        "sender": f"{rng.pick(inventory.SENDERS)}@{host}",
        "recipient": recipient,
        "subject": rng.pick(inventory.SUBJECTS),
        "deliveryAction": rng.pick(inventory.DELIVERY_ACTIONS),
        "internetMessageId": f"<{rng.hexadecimal(24)}@{host}>",
    }


def _mail_cluster(scene: Scene) -> Fields:
    rng = scene.rng
    cluster_by, cluster_by_value = rng.pick(inventory.MAIL_CLUSTERS)
    return _found(scene, "MailCluster") | {
        "clusterBy": cluster_by,
        "clusterByValue": cluster_by_value,
        "emailCount": 1 + rng.mostly_short(400),
    }


def _registry(scene: Scene) -> Fields:
    return _bound(scene, _found(scene, "Registry") | scene.rng.pick(scene.organisation.registry_values))


def _security_group(scene: Scene) -> Fields:
    return _found(scene, "SecurityGroup") | scene.rng.pick(scene.organisation.security_groups)


_MAKERS: dict[str, Callable[[Scene], Fields]] = {
    "User": _user,
    "Ip": _ip,
    "Url": _url,
    "File": _file,
    "Process": _process,
    "Mailbox": _mailbox,
    "MailMessage": _mail_message,
    "MailCluster": _mail_cluster,
    "Registry": _registry,
    "SecurityGroup": _security_group,
}
