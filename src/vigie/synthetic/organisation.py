"""The synthetic organisation: its users, devices, files and addresses, and the addresses of attackers."""

from collections.abc import Iterator
from itertools import product, starmap
from typing import Any, TypeAlias

import msgspec

from vigie.synthetic import inventory
from vigie.synthetic.seeded_random import SeededRandom
from vigie.synthetic.timestamps import DAY, FIRST_DAY, written

Fields: TypeAlias = dict[str, Any]


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody with an account: the keys of a `User` entity, and of a `Mailbox` entity."""

    address: str
    account: Fields
    mailbox: Fields


class Organisation(msgspec.Struct, frozen=True, kw_only=True):
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


def invent_organisation(rng: SeededRandom) -> Organisation:
    """Make the organisation up; the same dice make the same one."""
    return Organisation(
        people=tuple(_people(rng)),
        devices=tuple(_devices(rng)),
        files=tuple(_files(rng)),
        programs=tuple(_programs(rng)),
        registry_values=tuple(
            starmap(_registry_value, product(inventory.REGISTRY_KEYS, inventory.REGISTRY_VALUES))
        ),
        security_groups=tuple(_security_groups(rng)),
        ip_addresses=tuple(_ip_addresses(rng)),
        urls=tuple(
            map("".join, product(inventory.URL_SCHEMES, inventory.ATTACKER_HOSTS, inventory.URL_PATHS))
        ),
    )


def _people(rng: SeededRandom) -> Iterator[Person]:
    names = tuple(product(inventory.GIVEN_NAMES, inventory.FAMILY_NAMES))
    for number in range(len(names)):
        # A stride prime to their count: everyone comes once, and neighbours differ in both names.
        yield _person(rng, number, *names[number * 47 % len(names)])


def _person(rng: SeededRandom, number: int, given: str, family: str) -> Person:
    name = f"{given}.{family}"
    address = f"{name}@{inventory.MAIL_DOMAIN}"
    account: Fields = {"accountName": name}
    if rng.chance(0.85):
        # Accounts of a single machine have an empty domain: docs/api/incident-document.md, "Entity".
        account["domainName"] = inventory.LOGON_DOMAIN if rng.chance(0.97) else ""
        account["userSid"] = f"{inventory.SID_OF_DOMAIN}-{1104 + number}"
    account |= {"aadUserId": rng.guid(), "userPrincipalName": address}
    shown = {"mailboxDisplayName": f"{given.title()} {family.title()}", "mailboxAddress": address}
    return Person(address=address, account=account, mailbox=account | shown)


def _devices(rng: SeededRandom) -> Iterator[Fields]:
    for number in range(1, inventory.DEVICES_PER_GROUP + 1):
        for group in inventory.DEVICE_GROUPS:
            yield _device(rng, group, f"{group.host_prefix}-{number:04}")


def _device(rng: SeededRandom, group: inventory.SyntheticGroup, host: str) -> Fields:
    system = rng.pick(group.systems)
    return {
        "mdatpDeviceId": rng.hexadecimal(40),
        "aadDeviceId": rng.guid() if rng.chance(0.8) else None,
        "deviceDnsName": None if system.platform == "Other" else f"{host}.{inventory.DEVICE_DOMAIN}",
        "osPlatform": system.platform,
        "version": system.release,
        "osProcessor": system.processor,
        "osBuild": system.build,
        "healthStatus": rng.pick(inventory.HEALTH_STATUSES),
        "riskScore": rng.pick(inventory.RISK_SCORES),
        "rbacGroupName": group.name,
        "rbacGroupId": group.number,
        "firstSeen": written(FIRST_DAY - rng.below(600 * DAY)) if rng.chance(0.97) else None,
        "tags": rng.pick(inventory.DEVICE_TAG_SETS),
        "defenderAvStatus": rng.pick(inventory.ANTIVIRUS_STATUSES),
        "onboardingStatus": rng.pick(inventory.ONBOARDING_STATUSES),
        "vmMetadata": None,
    }


def _files(rng: SeededRandom) -> Iterator[Fields]:
    windows = product(inventory.FILE_NAMES, inventory.FOLDERS, range(12))
    linux = product(inventory.LINUX_FILE_NAMES, inventory.LINUX_FOLDERS, range(6))
    for name, folder, _ in (*windows, *linux):
        yield _file(rng, name, folder)


def _file(rng: SeededRandom, name: str, folder: str) -> Fields:
    hashes = {"sha1": rng.hexadecimal(40), "sha256": rng.hexadecimal(64)}
    return hashes | {"fileName": name, "filePath": folder}


def _programs(rng: SeededRandom) -> Iterator[Fields]:
    for program, _ in product(inventory.PROGRAMS, range(12)):
        # The number of the process is filled in where it runs; here it holds the place of its key.
        call = {"processId": 0, "processCommandLine": program.command_line}
        yield _file(rng, program.file_name, program.folder) | call


def _registry_value(key: tuple[str, str], value: tuple[str, str]) -> Fields:
    return {
        "registryHive": key[0],
        "registryKey": key[1],
        "registryValueType": value[0],
        "registryValue": value[1].encode().hex("-").upper(),
    }


def _security_groups(rng: SeededRandom) -> Iterator[Fields]:
    for name in inventory.SECURITY_GROUPS:
        yield {"securityGroupId": rng.guid(), "securityGroupName": name}


def _ip_addresses(rng: SeededRandom) -> Iterator[str]:
    """Addresses from the ranges kept free for documentation, and from private ones."""
    for network, host in product(
        inventory.DOCUMENTATION_NETWORKS + inventory.PRIVATE_NETWORKS, range(1, 255)
    ):
        yield f"{network}.{host}"
    for host in range(1, 100):
        yield f"2001:db8:{rng.bits(16) | 1:x}::{host:x}"
