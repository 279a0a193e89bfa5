"""How the database writes what brings an incident in sight."""

from vigie.core.access import DeviceGroupLabel, Exposure

OPEN_TO_EVERY_READER = ""
WHOLE_TENANT = "*"


def sight_label(sight: DeviceGroupLabel | None) -> str:
    """The label of a sight; None is open to every reader. A number can never be taken for a name."""
    if sight is None:
        return OPEN_TO_EVERY_READER
    return f"#{sight}" if isinstance(sight, int) else f"={sight}"


def labels_of(exposure: Exposure) -> tuple[str, ...]:
    """The labels under which a caller finds what is in sight."""
    if exposure.whole_tenant:
        return (WHOLE_TENANT,)
    return (OPEN_TO_EVERY_READER, *sorted(sight_label(group) for group in exposure.device_groups))
