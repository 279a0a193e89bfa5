"""The resources that tokens are issued for: one for each API that asks for a token.

They lie apart from the APIs, for commands that serve nothing and need to know them.
"""

from vigie.api.defender.resource import INCIDENTS
from vigie.core.api_resource import ApiResource

RESOURCES: tuple[ApiResource, ...] = (INCIDENTS,)
