"""The kinds of synthetic alert: the texts, the product and the evidence of each."""

import msgspec

from vigie.synthetic.products import (
    CLOUD,
    CLOUD_APPS,
    CUSTOM,
    ENDPOINT,
    GOVERNANCE,
    IDENTITY,
    LOSS,
    OFFICE,
    SENTINEL,
    SIGN_INS,
    Source,
)


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of alert. `evidence` names its entities by their types, in order."""

    source: Source
    detection_source: str
    detector_id: str
    title: str
    description: str
    category: str
    severities: tuple[str, ...]
    techniques: tuple[str, ...]
    evidence: tuple[str, ...]
    family: str | None = None


SCENARIOS = (
    Scenario(
        source=ENDPOINT,
        detection_source="WindowsDefenderAv",
        detector_id="f5057fee-4c3e-4459-82dd-21250b729601",
        title="Credential dumping tool was prevented",
        description="A tool able to read logon secrets was found.\n\nCheck how it reached the device.",
        category="CredentialAccess",
        severities=("Medium", "High"),
        techniques=("T1003", "T1003.001"),
        evidence=("File", "Process", "User", "File"),
        family="Lasgrab",
    ),
    Scenario(
        source=ENDPOINT,
        detection_source="WindowsDefenderAv",
        detector_id="f41fcb28-e1ec-4229-9aa5-148c01a8c3f5",
        title="'Tidewrack' ransomware was prevented",
        description=(
            "Malware of the Tidewrack family encrypts files and asks for money.\n\nThe protection on the "
            "device stopped it. Look for the same file on other devices and for changed backups."
        ),
        category="Ransomware",
        severities=("Medium", "High"),
        techniques=("T1486", "T1490"),
        evidence=("File", "File", "Process", "User"),
        family="Tidewrack",
    ),
    Scenario(
        source=ENDPOINT,
        detection_source="WindowsDefenderAv",
        detector_id="b7b3ff7b-623d-48df-8cd5-8cc6f137bdc5",
        title="'Kelpdrop' malware is still active",
        description="A file of the Kelpdrop family is still present, or still running, after it was found.",
        category="Malware",
        severities=("Informational", "Low", "Medium"),
        techniques=(),
        evidence=("File", "File", "File"),
        family="Kelpdrop",
    ),
    Scenario(
        source=ENDPOINT,
        detection_source="WindowsDefenderAtp",
        detector_id="e52fec14-2d75-4a6a-8584-0f4ce50ee168",
        title="Suspicious script interpreter command line",
        description=(
            "A script interpreter was started with a command line that hides what it does.\n\nAttackers "
            "encode commands to pass by filters and logs. Decode the command, and look at what the "
            "process started and with whom it talked."
        ),
        category="Execution",
        severities=("Low", "Medium", "High"),
        techniques=("T1059", "T1059.001", "T1027"),
        evidence=("Process", "Process", "User", "Ip", "Url"),
    ),
    Scenario(
        source=ENDPOINT,
        detection_source="WindowsDefenderAtp",
        detector_id="43c243ee-0945-46ce-9f76-663f8330df68",
        title="Unusual value in a start-up registry key",
        description=(
            "A registry value was written that starts a program with every logon.\n\nCompare with other "
            "devices of the same group: software roll-outs do the same, but on many devices at once."
        ),
        category="Persistence",
        severities=("Low", "Medium"),
        techniques=("T1547", "T1547.001"),
        evidence=("Registry", "Process", "File", "User"),
    ),
    Scenario(
        source=ENDPOINT,
        detection_source="WindowsDefenderAtp",
        detector_id="d01e13be-235f-461f-8392-3dd14744f3e0",
        title="Possible lateral movement with a remote service",
        description="A service was installed on this device from another device of the organisation.",
        category="LateralMovement",
        severities=("Medium", "High"),
        techniques=("T1021", "T1021.002", "T1569.002"),
        evidence=("Process", "File", "User", "Ip", "Registry"),
    ),
    Scenario(
        source=ENDPOINT,
        detection_source="WindowsDefenderSmartScreen",
        detector_id="d8aaa1f6-d2b6-41ba-9e97-f5f843c901ee",
        title="Connection to a deceptive site was blocked",
        description=(
            "A person followed a link to a site known to imitate a logon page. The connection was blocked."
        ),
        category="InitialAccess",
        severities=("Informational", "Low"),
        techniques=("T1566.002",),
        evidence=("Url", "Ip", "Process", "User"),
    ),
    Scenario(
        source=ENDPOINT,
        detection_source="CustomerTI",
        detector_id="44d09f3d-38c2-4ebb-95ba-b91cd20b52cf",
        title="Connection to an address on the organisation's own list",
        description="A device talked to an address that the organisation's indicators name as harmful.",
        category="CommandAndControl",
        severities=("Low", "Medium", "High"),
        techniques=("T1071",),
        evidence=("Ip", "Process", "Url"),
    ),
    Scenario(
        source=ENDPOINT,
        detection_source="AutomatedInvestigation",
        detector_id="54dc7651-89f8-46dc-9f93-26be5a7eff0d",
        title="Investigation of a device started by hand",
        description=(
            "A person started an automated investigation of this device.\n\nIt looks at running "
            "processes, services, start-up entries and recent files, and says which of them are harmful."
        ),
        category="SuspiciousActivity",
        severities=("Informational",),
        techniques=(),
        evidence=("Process", "Process", "File", "File", "User"),
    ),
    Scenario(
        source=ENDPOINT,
        detection_source="Manual",
        detector_id="ManualAlert",
        title="Opened by hand: unusual administration tool",
        description="An analyst opened this alert while hunting.",
        category="None",
        severities=("Low", "Medium"),
        techniques=("T1219",),
        evidence=("File", "Process", "User"),
    ),
    Scenario(
        source=CUSTOM,
        detection_source="CustomDetection",
        detector_id="dd75ef1b-a557-4e75-83c8-396ebe77367b",
        # Names of hand-made rules come with whatever was pasted into them: docs/api/incident-document.md.
        title="NH-017 archive made and uploaded within the hour\u200b",
        description=(
            "Hunting rule NH-017.\nA packed archive of more than 200 MB was written and the same process "
            "then talked to an address outside.\nTriage: see the page of the rule."
        ),
        category="Exfiltration",
        severities=("Low", "Medium", "High"),
        techniques=("T1560.001", "T1567"),
        evidence=("Process", "File", "User", "Ip", "Url"),
    ),
    Scenario(
        source=CUSTOM,
        detection_source="CustomDetection",
        detector_id="31146644-0f9e-4cd3-a7aa-e4a6ac9448a7",
        title="NH-032 member added to a privileged group",
        description="Hunting rule NH-032.\nAn account joined a group that can change other people's rights.",
        category="PrivilegeEscalation",
        severities=("Medium", "High"),
        techniques=("T1098",),
        evidence=("User", "User", "SecurityGroup", "Process"),
    ),
    Scenario(
        source=IDENTITY,
        detection_source="AzureATP",
        detector_id="LdapReconnaissance",
        title="Directory reconnaissance over LDAP",
        description=(
            "A device asked the domain controllers for all members of sensitive groups.\n\nAttackers map "
            "a domain so before they choose an account."
        ),
        category="Discovery",
        severities=("Low", "Medium"),
        techniques=("T1087", "T1087.002", "T1069.002"),
        evidence=("User", "SecurityGroup", "SecurityGroup", "Ip"),
    ),
    Scenario(
        source=IDENTITY,
        detection_source="AzureATP",
        detector_id="ReplicationRequest",
        title="Suspected theft of the directory by replication",
        description=(
            "A replication of the directory was asked for by something that is not a domain controller."
        ),
        category="CredentialAccess",
        severities=("High",),
        techniques=("T1003.006",),
        evidence=("User", "Ip", "Process", "SecurityGroup"),
    ),
    Scenario(
        source=OFFICE,
        detection_source="OfficeATP",
        detector_id="b8134e77-a4c9-427d-af6c-72f9b192e0d9",
        title="Message reported as harmful by its recipient",
        description="A person reported a message. Similar messages were looked for.",
        category="InitialAccess",
        severities=("Informational", "Low"),
        techniques=("T1566",),
        evidence=("Mailbox", "Mailbox", "MailMessage", "MailCluster", "MailCluster", "Ip"),
    ),
    Scenario(
        source=OFFICE,
        detection_source="OfficeATP",
        detector_id="5372f53f-f952-4fef-8839-5aad5fac0dba",
        title="Messages with a harmful link removed after delivery",
        description=(
            "Messages were delivered before their link was known as harmful, and then removed.\n\nCheck "
            "whether somebody followed the link in between."
        ),
        category="InitialAccess",
        severities=("Informational", "Low"),
        techniques=("T1566.002",),
        evidence=("MailMessage", "Url", "Mailbox", "MailCluster", "Ip"),
    ),
    Scenario(
        source=OFFICE,
        detection_source="OfficeATP",
        detector_id="abda62a8-5732-41ef-8c00-31d8dc083c34",
        title="Messages with a harmful attachment removed after delivery",
        description=(
            "Messages were delivered before their attachment was known as harmful, and then removed."
        ),
        category="InitialAccess",
        severities=("Informational", "Medium"),
        techniques=("T1566.001",),
        evidence=("MailMessage", "File", "Mailbox", "MailCluster"),
        family="Brinefog",
    ),
    Scenario(
        source=OFFICE,
        detection_source="AutomatedInvestigation",
        detector_id="93d544be-eeee-4355-af02-14835508e050",
        title="Mail forwarded outside by a new inbox rule",
        description="A rule was created that forwards all mail of a mailbox outside the organisation.",
        category="Collection",
        severities=("Low", "Medium"),
        techniques=("T1114.003",),
        evidence=("Mailbox", "User", "Ip", "MailMessage"),
    ),
    Scenario(
        source=SIGN_INS,
        detection_source="AAD",
        detector_id="UnfamiliarLocation",
        title="Sign-in with unfamiliar properties",
        description=(
            "The following properties of this sign-in are unfamiliar for the person: network, address, "
            "browser."
        ),
        category="InitialAccess",
        severities=("Low", "Medium", "High"),
        techniques=("T1078", "T1078.004"),
        evidence=("User", "Ip"),
    ),
    Scenario(
        source=SIGN_INS,
        detection_source="AAD",
        detector_id="ImpossibleTravel",
        title="Sign-ins too far apart to travel between",
        description="Two sign-ins of one person from places too far apart for the time between them.",
        category="InitialAccess",
        severities=("Low", "Medium"),
        techniques=("T1078",),
        evidence=("User", "Ip", "Ip"),
    ),
    Scenario(
        source=CLOUD_APPS,
        detection_source="MCAS",
        detector_id="ManyDownloads",
        title="Unusually many downloads by one person",
        description=(
            "A person downloaded more files within an hour than in the month before.\n\nAsk whether a "
            "move or a departure explains it."
        ),
        category="Exfiltration",
        severities=("Low", "Medium"),
        techniques=("T1530",),
        evidence=("User", "Ip", "Url", "File"),
    ),
    Scenario(
        source=CLOUD_APPS,
        detection_source="MCAS",
        detector_id="AdministratorFromNewCountry",
        title="Administration from a new country",
        description="An administrator changed settings from a country never seen for this organisation.",
        category="DefenseEvasion",
        severities=("Medium", "High"),
        techniques=("T1078.004", "T1562"),
        evidence=("User", "Ip", "SecurityGroup"),
    ),
    Scenario(
        source=GOVERNANCE,
        detection_source="AppGovernanceDetection",
        detector_id="UnusualConsent",
        title="Application with unusual consent reads many mailboxes",
        description="An application was given rights by one person and reads the mail of others.",
        category="Collection",
        severities=("Low", "Medium"),
        techniques=("T1114", "T1528"),
        evidence=("User", "Url", "Mailbox", "Mailbox"),
    ),
    Scenario(
        source=LOSS,
        detection_source="MicrosoftDataLossPrevention",
        detector_id="dlp-payment-cards",
        title="Payment card numbers shared outside",
        description="A document with more than ten payment card numbers was shared with people outside.",
        category="Exfiltration",
        severities=("Informational", "Low"),
        techniques=(),
        evidence=("User", "File", "Url", "Mailbox"),
    ),
    Scenario(
        source=CLOUD,
        detection_source="MicrosoftDefenderForCloud",
        detector_id="GuessedPasswordOnVirtualMachine",
        title="Logon after many failed attempts on a virtual machine",
        description="A logon succeeded after several hundred failed attempts from the same address.",
        category="CredentialAccess",
        severities=("Medium", "High"),
        techniques=("T1110",),
        evidence=("Ip", "Ip", "User", "Process"),
    ),
    Scenario(
        source=SENTINEL,
        detection_source="MicrosoftSentinel",
        detector_id="SuspiciousActivity",
        title="Sign-ins from one address to many accounts",
        description="Analytics rule. Accounts tried: more than 30.\nAddress seen before: no.",
        category="SuspiciousActivity",
        severities=("Low", "Medium"),
        techniques=("T1110.003",),
        evidence=("Ip", "User", "User", "User"),
    ),
)
