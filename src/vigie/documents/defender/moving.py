"""Alerts that move without others of their incident: which of them must not be parted, for what that would show."""

from collections.abc import Collection, Iterable

from vigie.documents.defender.shapes import AlertShape, decode_shape, entities_of


def parts_device_from_group(document: bytes, places: Collection[int]) -> bool:
    """Whether entities would lose the device that hides them, if the alerts at these places went by themselves.

    An entity is hidden with the device that it names, by the groups that stand at the device. Where only alerts of
    the other part list that device, nothing would say any more that the entity is hidden.
    """
    incident = decode_shape(document)
    goes = [incident.alerts[place] for place in places]
    stays = [incident, *(each for place, each in enumerate(incident.alerts) if place not in places)]
    listed_there, listed_here = _listed(goes), _listed(stays)
    return bool(_named(goes) & (listed_here - listed_there) or _named(stays) & (listed_there - listed_here))


def _listed(holders: Iterable[AlertShape]) -> set[str]:
    return {
        device.mdatpDeviceId.lower()
        for holder in holders
        for device in holder.devices or ()
        if device.mdatpDeviceId
    }


def _named(holders: Iterable[AlertShape]) -> set[str]:
    return {
        entity.deviceId.lower() for holder in holders for entity in entities_of(holder) if entity.deviceId
    }
