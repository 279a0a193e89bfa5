"""The grants of the token endpoint by their names in `grant_type`.

Source: docs/api/tokens.md, "Grants"; clients search error texts for the codes of refusals.
"""

from collections.abc import Mapping
from typing import Protocol

from vigie.identity.grants.request import GrantRequest
from vigie.identity.refusals import UnsupportedGrantType
from vigie.identity.tokens.issuance import IssuedToken


class Grant(Protocol):
    """One way to a token."""

    async def issue(self, request: GrantRequest) -> IssuedToken:
        """The token. Raises OAuthRefusal."""


class GrantRegistry:
    """Every grant there is, under the names that forms have for them."""

    def __init__(self, grants: Mapping[str, Grant]) -> None:
        self._grants = grants

    @property
    def names(self) -> tuple[str, ...]:
        """What discovery names."""
        return tuple(self._grants)

    async def issue(self, request: GrantRequest) -> IssuedToken:
        """The token that a form asks for. Raises OAuthRefusal."""
        grant_type = request.required("grant_type")
        grant = self._grants.get(grant_type)
        if grant is None:
            raise UnsupportedGrantType(grant_type)
        return await grant.issue(request)
