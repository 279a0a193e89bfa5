"""The APIs of a server, found by the modules that have routes, and every route that they have."""

from collections.abc import Iterator
from importlib import import_module
from pkgutil import walk_packages
from types import ModuleType

from vigie import api, ui
from vigie.api.oauth import endpoints as oauth
from vigie.http.profile import Route
from vigie.ui.sign_in import handlers as sign_in


def _with_routes(*packages: ModuleType) -> Iterator[ModuleType]:
    for package in packages:
        for found in walk_packages(package.__path__, f"{package.__name__}."):
            module = import_module(found.name)
            if hasattr(module, "ROUTES"):
                yield module


APIS = tuple(_with_routes(api, ui))

ROUTES: tuple[Route, ...] = tuple(route for each in APIS for route in each.ROUTES)

OF_AUTHORIZATION_SERVER = (*oauth.ROUTES, *sign_in.ROUTES)
"""What is served only where tokens are issued."""

EVERY_CALL = sorted({(method, route.path) for route in ROUTES for method in route.methods})
