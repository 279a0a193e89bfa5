"""Evidence: the entities of an alert, each with the keys of its type.

Keys without a value are left out. Their order is the documented one of all 31 (contract 5.6); undocumented
keys stand behind those they belong to.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from vigie.synthetic import inventory
from vigie.synthetic.organisation import Estate, Fields, Person
from vigie.synthetic.seeded_random import Dice
from vigie.synthetic.timestamps import DAY, HOUR, written
from vigie.synthetic.word_lists import FINDINGS


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Where the evidence of one alert lies. `device_ids` are the devices it can be bound to, if any."""

    dice: Dice
    estate: Estate
    people: Sequence[Person]
    device_ids: Sequence[str]
    began_at: int
    evidence_created_time: str


def gather(scene: Scene, entity_types: Iterable[str]) -> list[Fields]:
    """The entities of these types, in their order."""
    return [_MAKERS[entity_type](scene) for entity_type in entity_types]


def _found(scene: Scene, entity_type: str) -> Fields:
    verdict, remediation_status = scene.dice.pick(FINDINGS)
    return {
        "entityType": entity_type,
        "evidenceCreationTime": scene.evidence_created_time,
        "verdict": verdict,
        "remediationStatus": remediation_status,
    }


def _bound(scene: Scene, entity: Fields) -> Fields:
    if scene.device_ids:
        entity["deviceId"] = scene.dice.pick(scene.device_ids)
    return entity


def _user(scene: Scene) -> Fields:
    return _found(scene, "User") | scene.dice.pick(scene.people).account


def _ip(scene: Scene) -> Fields:
    return _found(scene, "Ip") | {"ipAddress": scene.dice.pick(scene.estate.ip_addresses)}


def _url(scene: Scene) -> Fields:
    return _found(scene, "Url") | {"url": scene.dice.pick(scene.estate.urls)}


def _file(scene: Scene) -> Fields:
    return _bound(scene, _found(scene, "File") | scene.dice.pick(scene.estate.files))


def _process(scene: Scene) -> Fields:
    dice = scene.dice
    started_at = scene.began_at - dice.mostly_short(HOUR)
    process_id = _process_id(dice)
    # Captures held only these keys; the documentation has the rest.
    if dice.chance(0.25):
        brief = {"processId": process_id, "processCreationTime": written(started_at)}
        return _bound(scene, _found(scene, "Process") | brief)
    entity = _found(scene, "Process") | dice.pick(scene.estate.programs)
    entity["processId"] = process_id
    entity["processCreationTime"] = written(started_at)
    entity["parentProcessId"] = _process_id(dice)
    entity["parentProcessCreationTime"] = written(started_at - dice.mostly_short(DAY))
    return _bound(scene, entity | dice.pick(scene.people).account)


def _process_id(dice: Dice) -> int:
    return 400 + 4 * dice.below(8000)


def _mailbox(scene: Scene) -> Fields:
    return _found(scene, "Mailbox") | scene.dice.pick(scene.people).mailbox


def _mail_message(scene: Scene) -> Fields:
    dice = scene.dice
    recipient = dice.pick(scene.people).address
    host = dice.pick(inventory.ATTACKER_HOSTS)
    return _found(scene, "MailMessage") | {
        "userPrincipalName": recipient,
        "sender": f"{dice.pick(inventory.SENDERS)}@{host}",
        "recipient": recipient,
        "subject": dice.pick(inventory.SUBJECTS),
        "deliveryAction": dice.pick(inventory.DELIVERY_ACTIONS),
        "internetMessageId": f"<{dice.hexadecimal(24)}@{host}>",
    }


def _mail_cluster(scene: Scene) -> Fields:
    dice = scene.dice
    cluster_by, cluster_by_value = dice.pick(inventory.MAIL_CLUSTERS)
    return _found(scene, "MailCluster") | {
        "clusterBy": cluster_by,
        "clusterByValue": cluster_by_value,
        "emailCount": 1 + dice.mostly_short(400),
    }


def _registry(scene: Scene) -> Fields:
    return _bound(scene, _found(scene, "Registry") | scene.dice.pick(scene.estate.registry_values))


def _security_group(scene: Scene) -> Fields:
    return _found(scene, "SecurityGroup") | scene.dice.pick(scene.estate.security_groups)


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
