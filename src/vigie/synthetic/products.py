"""The products that raise alerts. Source: docs/api/incident-document.md, "Products and alert ids"."""

import msgspec

from vigie.synthetic.timestamps import SECOND


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A product, with the share of its alerts that name devices.

    `activity_grain_ticks` is how finely it notes when something happened.
    """

    name: str
    name_of_2020: str
    alert_id_prefix: str
    share_with_devices: float = 0.0
    investigates: bool = False
    activity_grain_ticks: int = 1


ENDPOINT = Source(
    name="MicrosoftDefenderForEndpoint",
    name_of_2020="MicrosoftDefenderATP",
    alert_id_prefix="da",
    share_with_devices=1.0,
    investigates=True,
)
OFFICE = Source(
    name="MicrosoftDefenderForOffice365",
    name_of_2020="OfficeATP",
    alert_id_prefix="fa",
    investigates=True,
    activity_grain_ticks=SECOND,
)
CLOUD_APPS = Source(
    name="MicrosoftDefenderForCloudApps",
    name_of_2020="MicrosoftCloudAppSecurity",
    alert_id_prefix="ca",
    activity_grain_ticks=SECOND // 1000,
)
CUSTOM = Source(
    name="Microsoft365Defender",
    name_of_2020="MicrosoftThreatProtection",
    alert_id_prefix="ea",
    share_with_devices=0.9,
)
SIGN_INS = Source(name="AADIdentityProtection", name_of_2020="AADIdentityProtection", alert_id_prefix="ad")
IDENTITY = Source(
    name="MicrosoftDefenderForIdentity",
    name_of_2020="AzureATP",
    alert_id_prefix="aa",
    share_with_devices=0.5,
    activity_grain_ticks=SECOND // 1_000_000,
)
GOVERNANCE = Source(
    name="MicrosoftAppGovernance",
    name_of_2020="MicrosoftAppGovernance",
    alert_id_prefix="ma",
    activity_grain_ticks=SECOND,
)
LOSS = Source(
    name="DataLossPrevention",
    name_of_2020="DataLossPrevention",
    alert_id_prefix="dl",
    activity_grain_ticks=SECOND,
)
CLOUD = Source(
    name="MicrosoftDefenderForCloud",
    name_of_2020="MicrosoftDefenderForCloud",
    alert_id_prefix="dc",
    activity_grain_ticks=SECOND // 1_000_000,
)
SENTINEL = Source(
    name="MicrosoftSentinel",
    name_of_2020="MicrosoftSentinel",
    alert_id_prefix="sn",
    activity_grain_ticks=SECOND // 1000,
)
