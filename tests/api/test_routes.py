"""Routes, and the paths that reach them: their words in any letter case, and nothing that only looks like them."""

import pytest

from tests.support.house import House


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/{guid}/v2.0/.well-known/openid-configuration", 200),
        ("/{guid}/V2.0/.Well-Known/OpenID-Configuration", 200),
        ("//{guid}//v2.0/.well-known/openid-configuration", 200),
        ("/{guid}/v2x0/.well-known/openid-configuration", 404),
        ("/{guid}/v2.0/.well-known/openid-configuration%0a", 404),
        ("/{guid}/v2.0/.well-known/openid-configuration/", 404),
        ("/x/{guid}/v2.0/.well-known/openid-configuration", 404),
        ("/.well-known/openid-configuration", 404),
        # A Kelvin sign for the k, and a long s for the s: the same letters only where case is that of Unicode.
        ("/{guid}/v2.0/.well-%e2%84%aanown/openid-configuration", 404),
        ("/{guid}/di%c5%bfcovery/v2.0/keys", 404),
        ("/{guid}/Discovery/v2.0/keys", 200),
    ],
)
def test_a_path_reaches_its_route_alone(house: House, path: str, status: int) -> None:
    assert house.get(path.format(guid=house.tenant.guid), None).status == status
