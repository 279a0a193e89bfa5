"""The credentials that a request to a token endpoint brings, before anything of them is proven: RFC 6749, 2.3."""

from collections.abc import Mapping
from urllib.parse import unquote_plus

import msgspec

from vigie.core.letter_case import lowered
from vigie.identity.clients.assertions import (
    ASSERTION_TYPE,
    SentAssertion,
    read_assertion,
)
from vigie.identity.clients.refusals import InvalidClientAssertion
from vigie.identity.form_parameters import first_of
from vigie.identity.refusals import MissingParameter


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """A client id and the spellings of its secret: HTTP Basic leaves open whether they are url-encoded."""

    client_id: str
    secrets: tuple[str, ...] = ()


class Sender(msgspec.Struct, frozen=True, kw_only=True):
    """What says who sends a form, beside the form itself: HTTP Basic, if it is used, and where it comes from."""

    basic: Credentials | None
    address: str


def credentials_in(form: Mapping[str, str], sender: Sender) -> Credentials | SentAssertion:
    """Who a request says it comes from, and what it brings to prove it. Raises OAuthRefusal.

    An assertion goes before a secret, and a secret in the form before HTTP Basic.
    """
    assertion = _assertion(form)
    if assertion is not None:
        return assertion
    basic = sender.basic
    client_id = form.get("client_id") or (basic.client_id if basic else "")
    if not client_id:
        raise MissingParameter("client_id")
    if form.get("client_secret"):
        return Credentials(client_id=client_id, secrets=(form["client_secret"],))
    if basic is not None and any(basic.secrets):
        return Credentials(client_id=client_id, secrets=basic.secrets)
    return Credentials(client_id=client_id)


def has_credentials(sent: Credentials | SentAssertion) -> bool:
    """Whether a request brings anything that could prove who sends it."""
    return isinstance(sent, SentAssertion) or bool(sent.secrets)


def basic_credentials(client_id: str, secret: str) -> Credentials:
    """Credentials of HTTP Basic: Authlib sends them raw, Go url-encoded."""
    return Credentials(client_id=unquote_plus(client_id), secrets=(secret, unquote_plus(secret)))


def _assertion(form: Mapping[str, str]) -> SentAssertion | None:
    text = form.get("client_assertion")
    if not text:
        return None
    if first_of(form, ("client_assertion_type",)) != ASSERTION_TYPE:
        raise InvalidClientAssertion(f"client_assertion_type must be {ASSERTION_TYPE}")
    sent = read_assertion(text)
    if lowered(form.get("client_id") or sent.client_id) != lowered(sent.client_id):
        raise InvalidClientAssertion("its iss and sub are not the client_id of the form")
    return sent
