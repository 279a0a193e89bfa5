"""Signatures, checked by the reference implementation, by a known vector, and by the documented code."""

import re
import time
from base64 import b64decode
from collections.abc import Callable
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError

from tests.support.paths import DOCS
from vigie.webhooks.signing import new_secret, signed_headers

BODY = b'{"type":"incident.created"}'


def test_the_reference_implementation_takes_a_delivery() -> None:
    secret = new_secret()

    headers = signed_headers(secret, "wh_1_41", int(time.time()), BODY)

    assert Verifier(secret).verify(BODY, headers) == {"type": "incident.created"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("webhook-id", "wh_1_42"),
        ("webhook-signature", "v1,AAAA"),
        ("webhook-timestamp", "1"),
        ("body", b"{}"),
    ],
)
def test_the_reference_implementation_refuses_what_was_changed(name: str, value: Any) -> None:
    secret = new_secret()
    delivery: dict[str, Any] = {**signed_headers(secret, "wh_1_41", int(time.time()), BODY), "body": BODY}

    changed = {**delivery, name: value}

    with pytest.raises(WebhookVerificationError):
        Verifier(secret).verify(changed.pop("body"), changed)


def test_a_known_signature_is_made() -> None:
    # The vector of the reference implementations' own tests.
    headers = signed_headers(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )

    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_secret_is_random_and_of_the_length_that_the_specification_asks_for() -> None:
    secrets = {new_secret() for _ in range(50)}

    assert len(secrets) == 50
    assert {len(b64decode(each.removeprefix("whsec_"))) for each in secrets} == {32}


@pytest.mark.parametrize("text", ["", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_%%%"])
def test_what_is_no_secret_signs_nothing(text: str) -> None:
    with pytest.raises(ValueError, match="a secret of a webhook"):
        signed_headers(text, "wh_1_41", 0, BODY)


@pytest.fixture(scope="module")
def documented() -> Callable[[str, dict[str, str], bytes], bool]:
    """The code that the documentation gives to authors of receivers."""
    (code,) = re.findall(r"^```python\n(.*?)^```$", (DOCS / "webhooks.md").read_text(), re.M | re.S)
    names: dict[str, Any] = {}
    exec(code, names)
    check: Callable[[str, dict[str, str], bytes], bool] = names["is_from_vigie"]
    return check


def test_the_documented_code_takes_a_delivery_and_no_other(
    documented: Callable[[str, dict[str, str], bytes], bool],
) -> None:
    secret, now = new_secret(), int(time.time())
    headers = signed_headers(secret, "wh_1_41", now, BODY)

    assert documented(secret, headers, BODY)
    assert documented(
        secret, {**headers, "webhook-signature": f"v1,AAAA {headers['webhook-signature']}"}, BODY
    )
    assert not documented(secret, headers, BODY + b" ")
    assert not documented(new_secret(), headers, BODY)
    assert not documented(secret, {**headers, "webhook-id": "wh_1_42"}, BODY)
    assert not documented(secret, signed_headers(secret, "wh_1_41", now - 301, BODY), BODY)


@pytest.mark.parametrize(
    "changes",
    [
        {"webhook-timestamp": "abc"},
        {"webhook-timestamp": "²"},
        {"webhook-signature": "v1,\xe9"},
        {"webhook-signature": ""},
    ],
)
def test_the_documented_code_refuses_what_strangers_send(
    documented: Callable[[str, dict[str, str], bytes], bool], changes: dict[str, str]
) -> None:
    secret = new_secret()
    headers = signed_headers(secret, "wh_1_41", int(time.time()), BODY)

    assert not documented(secret, headers | changes, BODY)
    for name in headers:
        assert not documented(secret, {each: headers[each] for each in headers if each != name}, BODY)


def test_the_documented_delivery_has_the_signature_of_the_documented_secret() -> None:
    text = (DOCS / "webhooks.md").read_text(encoding="utf-8")
    (secret,) = re.findall(r'"secret": "(whsec_[^"]+)"', text)
    sent = dict(re.findall(r"^(webhook-\w+): (.*)$", text, re.M))
    (body,) = re.findall(r'^\{"type":.*$', text, re.M)

    signed = signed_headers(secret, sent["webhook-id"], int(sent["webhook-timestamp"]), body.encode())

    assert signed == sent
