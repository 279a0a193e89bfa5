"""The commands `vigie keys rotate` and `vigie keys list`."""

from typing import Annotated

from cyclopts import Parameter

from vigie.cli.common import PLAIN, Common, emit, emit_rows, opened, require_authorization_server
from vigie.cli.output import print_status
from vigie.core.instants import format_instant
from vigie.identity.keys.key_ring import SigningKey
from vigie.identity.keys.key_store import find_ring
from vigie.runtime.clock import now


async def rotate_keys(
    *,
    drop_old: Annotated[bool, Parameter(help="Reject tokens signed with the old keys at once.")] = False,
    common: Common = PLAIN,
) -> None:
    """Create a new signing key; the old one is accepted until its last token has expired."""
    async with opened(common, create=True) as installation:
        require_authorization_server(installation)
        skew_seconds = installation.settings.identity.clock_skew_seconds
        ring = await installation.keys().rotate(now(), skew_seconds, keeps_old=not drop_old)
    retired = [
        {"kid": key.kid, "accepted_until": format_instant(key.accepted_until)}
        for key in ring.retired
        if key.accepted_until is not None
    ]
    lines = [f"signs     {ring.current.kid}"]
    lines += [f"accepted  {each['kid']} until {each['accepted_until']}" for each in retired]
    emit(common, {"kid": ring.current.kid, "retired": retired}, lines=lines)


async def list_keys(*, common: Common = PLAIN) -> None:
    """List the keys whose tokens are accepted, the signing key first. Creates none."""
    async with opened(common, create=False) as installation:
        require_authorization_server(installation)
        ring = await find_ring(installation.keys())
    if ring is None:
        print_status("no signing key yet; `vigie serve` creates one")
    rows = [] if ring is None else [_key_fields(key) for key in ring.accepted(now())]
    emit_rows(common, ("kid", "accepted_until", "signs"), rows)


def _key_fields(key: SigningKey) -> dict[str, object]:
    until = key.accepted_until
    return {
        "kid": key.kid,
        "signs": until is None,
        "accepted_until": None if until is None else format_instant(until),
    }
