"""The invented organisation's people, devices, files and addresses, and those it is attacked from."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product, starmap
from typing import Any, TypeAlias

from vigie.synthetic import inventory
from vigie.synthetic.seeded_random import Dice
from vigie.synthetic.timestamps import DAY, FIRST_DAY, written

Fields: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody with an account: the keys of a `User` entity, and of a `Mailbox` entity."""

    address: str
    account: Fields
    mailbox: Fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Estate:
    """Everything that alerts can be about. Its dicts are templates: copy them, never change them.

    Neighbours among the people and the devices are seldom of one family or of one device group.
    """

    people: tuple[Person, ...]
    devices: tuple[Fields, ...]
    files: tuple[Fields, ...]
    programs: tuple[Fields, ...]
    registry_values: tuple[Fields, ...]
    security_groups: tuple[Fields, ...]
    ip_addresses: tuple[str, ...]
    urls: tuple[str, ...]


def invent_estate(dice: Dice) -> Estate:
    """Make the organisation up; the same dice make the same one."""
    return Estate(
        people=tuple(_people(dice)),
        devices=tuple(_devices(dice)),
        files=tuple(_files(dice)),
        programs=tuple(_programs(dice)),
        registry_values=tuple(
            starmap(_registry_value, product(inventory.REGISTRY_KEYS, inventory.REGISTRY_VALUES))
        ),
        security_groups=tuple(_security_groups(dice)),
        ip_addresses=tuple(_ip_addresses(dice)),
        urls=tuple(
            map("".join, product(inventory.URL_SCHEMES, inventory.ATTACKER_HOSTS, inventory.URL_PATHS))
        ),
    )


def _people(dice: Dice) -> Iterator[Person]:
    names = tuple(product(inventory.GIVEN_NAMES, inventory.FAMILY_NAMES))
    for number in range(len(names)):
        # A stride prime to their count: everyone comes once, and neighbours differ in both names.
        yield _person(dice, number, *names[number * 47 % len(names)])


def _person(dice: Dice, number: int, given: str, family: str) -> Person:
    name = f"{given}.{family}"
    address = f"{name}@{inventory.MAIL_DOMAIN}"
    account: Fields = {"accountName": name}
    if dice.chance(0.85):
        # An empty domain is what accounts of single machines come with; contract 5.1.
        account["domainName"] = inventory.LOGON_DOMAIN if dice.chance(0.97) else ""
        account["userSid"] = f"{inventory.SID_OF_DOMAIN}-{1104 + number}"
    account |= {"aadUserId": dice.guid(), "userPrincipalName": address}
    shown = {"mailboxDisplayName": f"{given.title()} {family.title()}", "mailboxAddress": address}
    return Person(address=address, account=account, mailbox=account | shown)


def _devices(dice: Dice) -> Iterator[Fields]:
    for number in range(1, inventory.DEVICES_PER_GROUP + 1):
        for group in inventory.DEVICE_GROUPS:
            yield _device(dice, group, f"{group.host_prefix}-{number:04}")


def _device(dice: Dice, group: inventory.DeviceGroup, host: str) -> Fields:
    system = dice.pick(group.systems)
    return {
        "mdatpDeviceId": dice.hexadecimal(40),
        "aadDeviceId": dice.guid() if dice.chance(0.8) else None,
        "deviceDnsName": None if system.platform == "Other" else f"{host}.{inventory.DEVICE_DOMAIN}",
        "osPlatform": system.platform,
        "version": system.release,
        "osProcessor": system.processor,
        "osBuild": system.build,
        "healthStatus": dice.pick(inventory.HEALTH_STATUSES),
        "riskScore": dice.pick(inventory.RISK_SCORES),
        "rbacGroupName": group.name,
        "rbacGroupId": group.number,
        "firstSeen": written(FIRST_DAY - dice.below(600 * DAY)) if dice.chance(0.97) else None,
        "tags": dice.pick(inventory.DEVICE_TAG_SETS),
        "defenderAvStatus": dice.pick(inventory.ANTIVIRUS_STATUSES),
        "onboardingStatus": dice.pick(inventory.ONBOARDING_STATUSES),
        "vmMetadata": None,
    }


def _files(dice: Dice) -> Iterator[Fields]:
    windows = product(inventory.FILE_NAMES, inventory.FOLDERS, range(12))
    linux = product(inventory.LINUX_FILE_NAMES, inventory.LINUX_FOLDERS, range(6))
    for name, folder, _ in (*windows, *linux):
        yield _file(dice, name, folder)


def _file(dice: Dice, name: str, folder: str) -> Fields:
    hashes = {"sha1": dice.hexadecimal(40), "sha256": dice.hexadecimal(64)}
    return hashes | {"fileName": name, "filePath": folder}


def _programs(dice: Dice) -> Iterator[Fields]:
    for program, _ in product(inventory.PROGRAMS, range(12)):
        # The number of the process is filled in where it runs; here it holds the place of its key.
        call = {"processId": 0, "processCommandLine": program.command_line}
        yield _file(dice, program.file_name, program.folder) | call


def _registry_value(key: tuple[str, str], value: tuple[str, str]) -> Fields:
    return {
        "registryHive": key[0],
        "registryKey": key[1],
        "registryValueType": value[0],
        "registryValue": value[1].encode().hex("-").upper(),
    }


def _security_groups(dice: Dice) -> Iterator[Fields]:
    for name in inventory.SECURITY_GROUPS:
        yield {"securityGroupId": dice.guid(), "securityGroupName": name}


def _ip_addresses(dice: Dice) -> Iterator[str]:
    """Addresses from the ranges kept free for documentation, and from private ones."""
    for network, host in product(
        inventory.DOCUMENTATION_NETWORKS + inventory.PRIVATE_NETWORKS, range(1, 255)
    ):
        yield f"{network}.{host}"
    for host in range(1, 100):
        yield f"2001:db8:{dice.bits(16) | 1:x}::{host:x}"
