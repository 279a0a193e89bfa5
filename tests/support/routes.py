"""The APIs of a server, and every route that they have."""

from vigie.api.defender import handlers as defender
from vigie.api.oauth import endpoints as oauth
from vigie.api.operations import handlers as operations
from vigie.ui import public_pages
from vigie.ui.sign_in import handlers as sign_in

APIS = (defender, oauth, sign_in, public_pages, operations)

ROUTES = tuple(route for api in APIS for route in api.ROUTES)

OF_AUTHORIZATION_SERVER = (*oauth.ROUTES, *sign_in.ROUTES)
"""What is served only where tokens are issued."""

EVERY_CALL = sorted({(method, route.path) for route in ROUTES for method in route.methods})
