"""The two ids of an alert, in the formats of the products.

Source: docs/api/incident-document.md, "Products and alert ids".
"""

from collections.abc import Callable
from typing import TypeAlias

from vigie.synthetic.seeded_random import SeededRandom

# Endpoint counts ticks from the year 1.
_TICKS_BEFORE_1970 = 621_355_968_000_000_000


def make_ids(prefix: str, rng: SeededRandom, created_at: int) -> tuple[str, str]:
    """The id of an alert, and the one its product knows it by."""
    return _ID_FORMATS.get(prefix, _guid_ids)(prefix, rng, created_at)


def _tick_id(rng: SeededRandom, created_at: int) -> str:
    return f"{created_at + _TICKS_BEFORE_1970}_{rng.bits(32) - 2**31}"


def _endpoint_ids(prefix: str, rng: SeededRandom, created_at: int) -> tuple[str, str]:
    provider_alert_id = _tick_id(rng, created_at)
    return prefix + provider_alert_id, provider_alert_id


def _custom_ids(prefix: str, rng: SeededRandom, created_at: int) -> tuple[str, str]:
    alert_id = prefix + _tick_id(rng, created_at)
    return alert_id, alert_id


def _sign_in_ids(prefix: str, rng: SeededRandom, _: int) -> tuple[str, str]:
    return prefix + rng.hexadecimal(40), rng.hexadecimal(64)


def _cloud_app_ids(prefix: str, rng: SeededRandom, _: int) -> tuple[str, str]:
    provider_alert_id = rng.guid().upper()
    return prefix + provider_alert_id, provider_alert_id


def _guid_ids(prefix: str, rng: SeededRandom, _: int) -> tuple[str, str]:
    provider_alert_id = rng.guid()
    return prefix + provider_alert_id, provider_alert_id


_IdFormat: TypeAlias = Callable[[str, SeededRandom, int], tuple[str, str]]
_ID_FORMATS: dict[str, _IdFormat] = {
    "da": _endpoint_ids,
    "ea": _custom_ids,
    "ad": _sign_in_ids,
    "ca": _cloud_app_ids,
}
