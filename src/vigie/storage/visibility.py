"""How the database writes what brings an incident in sight."""

from vigie.core.access import DeviceGroupLabel, Exposure
from vigie.core.incident import Spans, visibility_of

OPEN_TO_EVERY_READER = ""
WHOLE_TENANT = "*"
EVERY_STUB = ">"
"""Found by those alone who see each stub, wherever it leads: the setting may be changed on any day."""


def visibility_label(sight: DeviceGroupLabel | None) -> str:
    """The label of a sight; None is open to every reader. A number can never be taken for a name."""
    if sight is None:
        return OPEN_TO_EVERY_READER
    return f"#{sight}" if isinstance(sight, int) else f"={sight}"


def labels_on(spans: Spans) -> tuple[str, ...]:
    """The labels under which an incident is found."""
    stub = (EVERY_STUB,) if spans.inherited is not None else ()
    return (WHOLE_TENANT, *stub, *map(visibility_label, visibility_of(spans)))


def labels_of(exposure: Exposure) -> tuple[str, ...]:
    """The labels under which a caller finds what is in sight."""
    if exposure.whole_tenant:
        return (WHOLE_TENANT,)
    stubs = (EVERY_STUB,) if exposure.every_stub else ()
    return (
        OPEN_TO_EVERY_READER,
        *stubs,
        *sorted(visibility_label(group) for group in exposure.device_groups),
    )
