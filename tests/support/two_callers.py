"""Tokens of two callers who must not be in each other's way."""

from collections.abc import Callable

from tests.support.house import House

Authenticator = Callable[[House], tuple[str, str]]


def two_applications(house: House) -> tuple[str, str]:
    """Of two applications, each by itself."""
    return house.a_token(), house.a_token()


def two_users_of_one_application(house: House) -> tuple[str, str]:
    """Of two users who have one client id."""
    first, second = (house.token_of(house.add_user(), "Incident.Read") for _ in range(2))
    return first, second
