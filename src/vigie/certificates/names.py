"""The names that a certificate is for, and how X.509 writes them down."""

from collections.abc import Iterable
from ipaddress import ip_address, ip_network

from cryptography import x509

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


def names_among(texts: Iterable[str]) -> frozenset[str]:
    """Names in the one form in which they are compared: in lower case, addresses at their shortest."""
    return frozenset(map(_canonical, texts))


def in_order(names: Iterable[str]) -> list[str]:
    """The loopback first, then the others by the alphabet."""
    return sorted(names, key=lambda name: (name not in LOOPBACK_NAMES, name))


def listed(names: Iterable[str]) -> str:
    """Names as people read them."""
    return ", ".join(in_order(names))


def subject_names(names: Iterable[str]) -> x509.SubjectAlternativeName:
    """What a server certificate says it is for."""
    return x509.SubjectAlternativeName(
        x509.IPAddress(ip_address(name)) if _is_address(name) else x509.DNSName(name)
        for name in in_order(names)
    )


def constraints_to(names: Iterable[str]) -> x509.NameConstraints:
    """What an authority may make certificates for.

    Addresses are exact. A host name permits all below it too: X.509 has no way to write the name alone.
    """
    permitted = [
        x509.IPAddress(ip_network(name)) if _is_address(name) else x509.DNSName(name)
        for name in in_order(names)
    ]
    return x509.NameConstraints(permitted_subtrees=permitted, excluded_subtrees=None)


def host_names(names: Iterable[str]) -> frozenset[str]:
    """The names that are no addresses."""
    return frozenset(name for name in names if not _is_address(name))


def names_permitted_by(constraints: x509.NameConstraints) -> frozenset[str]:
    """The names that `constraints_to` was given."""
    return names_among(
        str(subtree.value).partition("/")[0] for subtree in constraints.permitted_subtrees or ()
    )


def _canonical(text: str) -> str:
    return str(ip_address(text)) if _is_address(text) else text.lower()


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
