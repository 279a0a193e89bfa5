"""Attacks on the pages: forms of other sites and browsers, open redirects, hostile texts, replayed consents."""

import json
import re
from functools import cache
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from tests.support.browser_double import BACK, SAME_SITE, Asking, Visitor, asking
from tests.support.house import PASSWORD, House, RunningHouse, a_key_ring
from tests.support.shown_page import ShownPage
from vigie.config.settings import LoggingSettings
from vigie.core.instants import Instant
from vigie.http.forwarded import is_protected
from vigie.identity.sign_in.signed_state import StateSigner
from vigie.ui.browser_request import FORM_BYTES_MAX, REQUEST_BYTES_MAX
from vigie.ui.rendering import PageContext, render
from vigie.ui.sign_in.urls import form_targets, in_ascii, with_fields
from vigie.ui.sign_in.views import (
    CONSENT_PATH,
    DEVICE_PATH,
    PASSWORD_PATH,
    ConsentPrompt,
    FormError,
    consent_page,
    device_done_page,
    device_page,
    form_post_page,
    sign_in_page,
)

ATTACK = "\"'><script>alert(1)</script><img src=x onerror=alert(1)></title></input>{user}{0.__class__}\r\nX-Evil: 1"
CONTEXT = PageContext(language="en", host=f"vigie.example{ATTACK}")
EXPIRED = "This page is no longer valid"
CROSS_SITE = "Another site sent this form"


def refused_as(visitor: Visitor, title: str, status: int) -> bool:
    """Whether a page says so, and nothing was done."""
    return visitor.shown.status == status and title in visitor.page.text


def assert_harmless(visitor: Visitor) -> None:
    """There is no element that somebody else has made: the one script is that of the form."""
    assert "img" not in visitor.page.tags
    assert visitor.shown.body.count(b"<script>") == len(visitor.page.every("form"))


# Ways that others can look at


@pytest.mark.parametrize(
    "host", ["vigie.example", "10.1.2.3:8400", "localhost.evil.example", "[2001:db8::1]"]
)
def test_no_password_is_taken_over_plain_http(house: House, host: str) -> None:
    visitor = Visitor(house).get(asking(house).url)
    user = house.add_person()
    page = visitor.page

    elsewhere = Visitor(house, host=host, cookies=visitor.cookies)
    pages = [
        elsewhere.get(asking(house).url),
        elsewhere.get(DEVICE_PATH),
        elsewhere.post(page.action, {**page.fields, "username": user.upn, "password": PASSWORD}),
    ]

    for shown in pages:
        assert refused_as(shown, "This address is not protected", 403)
        assert shown.page.every("input") == []
    assert visitor.signs_in(user).shown.status == 200


@pytest.mark.parametrize("host", ["localhost:8400", "127.0.0.1", "127.8.0.1", "[::1]:8400"])
def test_on_the_machine_itself_it_is(house: House, host: str) -> None:
    assert Visitor(house, host=host).get(asking(house).url).shown.status == 200


@pytest.mark.parametrize(
    "header",
    [
        ("Forwarded", "for=192.0.2.7;proto=https;host=vigie.example"),
        ("X-Forwarded-For", "192.0.2.7"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "127.0.0.1"),
        ("X-Forwarded-Server", "proxy"),
        ("X-Real-IP", "127.0.0.1"),
        ("Via", "1.1 proxy"),
    ],
)
def test_a_proxy_that_is_not_trusted_does_not_make_it_the_machine_itself(
    house: House, header: tuple[str, str]
) -> None:
    visitor = Visitor(house, host="127.0.0.1").get(asking(house).url)
    user = house.add_person()
    page = visitor.page

    proxied = Visitor(house, [header], host="127.0.0.1")
    for shown in (
        proxied.get(asking(house).url),
        proxied.get(DEVICE_PATH),
        proxied.post(page.action, {**page.fields, "username": user.upn, "password": PASSWORD}),
        proxied.post(CONSENT_PATH, page.fields),
    ):
        assert refused_as(shown, "This address is not protected", 403)
        assert shown.page.every("input") == []
    assert proxied.cookies == {}


def test_a_trusted_proxy_that_was_called_by_plain_http_does_not_either(behind_proxy: House) -> None:
    headers = (("X-Forwarded-Proto", "http"), ("X-Forwarded-Host", "127.0.0.1"))

    shown = Visitor(behind_proxy, headers, host="127.0.0.1").get(asking(behind_proxy).url)

    assert refused_as(shown, "This address is not protected", 403)


@pytest.mark.parametrize(
    ("peer", "host", "is_safe"),
    [
        ("127.0.0.1", "127.0.0.1:8400", True),
        ("127.8.0.1", "localhost", True),
        ("::1", "[::1]:8400", True),
        ("::ffff:127.0.0.1", "localhost", True),
        ("192.0.2.7", "127.0.0.1:8400", False),
        ("2001:db8::7", "localhost", False),
        ("::ffff:192.0.2.7", "localhost", False),
        ("127.0.0.1", "vigie.example", False),
        (None, "localhost", False),
    ],
)
def test_it_is_the_connection_that_says_who_calls(peer: str | None, host: str, is_safe: bool) -> None:
    scope = {"client": (peer, 50000) if peer else None, "headers": [(b"host", host.encode())]}

    assert is_protected(scope, f"http://{host}") is is_safe
    assert is_protected(scope, f"https://{host}")


@pytest.mark.parametrize(("proto", "status"), [("https", 200), ("http", 403)])
def test_behind_a_trusted_proxy_it_is_what_the_browser_called_that_counts(
    behind_proxy: House, proto: str, status: int
) -> None:
    headers = (("X-Forwarded-Proto", proto), ("X-Forwarded-Host", "vigie.example"))

    assert Visitor(behind_proxy, headers).get(asking(behind_proxy).url).shown.status == status


# Forms that are not ours


@pytest.mark.parametrize(
    "headers",
    [
        [("Sec-Fetch-Site", "cross-site"), ("Origin", "null")],
        [("Sec-Fetch-Site", "same-site")],
        [("Origin", "https://evil.example")],
        [("Origin", "http://127.0.0.1:1")],
    ],
)
def test_a_form_that_another_site_sends_is_refused_at_every_step(
    house: House, headers: list[tuple[str, str]]
) -> None:
    ana, visitor = house.add_person(), Visitor(house).get(asking(house).url)

    assert refused_as(visitor.submit(headers, username=ana.upn, password=PASSWORD), CROSS_SITE, 403)
    visitor.get(asking(house).url).signs_in(ana)
    assert refused_as(visitor.submit(headers, choice="allow"), CROSS_SITE, 403)
    assert refused_as(visitor.get(DEVICE_PATH).submit(headers, user_code="x"), CROSS_SITE, 403)


@pytest.mark.parametrize("headers", [[], [("Origin", "null")], [("Sec-Fetch-Site", "none")], SAME_SITE])
def test_a_browser_that_names_no_other_site_is_served(house: House, headers: list[tuple[str, str]]) -> None:
    visitor = Visitor(house).get(asking(house).url)

    assert visitor.submit(headers, username=house.add_person().upn, password=PASSWORD).shown.status == 200


@pytest.mark.parametrize("seal", ["", "x", "x.y", "A" * 200 + "." + "B" * 43, "é"])
@pytest.mark.parametrize("path", [PASSWORD_PATH, CONSENT_PATH, DEVICE_PATH])
def test_a_form_without_our_seal_is_refused(house: House, path: str, seal: str) -> None:
    fields = {"flow": seal, "username": house.add_person().upn, "password": PASSWORD, "choice": "allow"}

    visitor = Visitor(house).get(asking(house).url).post(path, fields)

    assert refused_as(visitor, EXPIRED, 400)


@pytest.mark.parametrize(("path", "step"), [(PASSWORD_PATH, "password"), (CONSENT_PATH, "consent")])
def test_a_form_that_another_release_has_signed_is_refused(house: House, path: str, step: str) -> None:
    visitor = Visitor(house).get(asking(house).url)
    browser = next(value for name, value in visitor.cookies.items() if name.endswith("vigie-browser"))
    content = msgspec.msgpack.encode({"type": "authorization", "errand": "of another shape"})
    signed = StateSigner(a_key_ring).sign(f"form {step}", browser, content, expires_at=Instant(2**62))

    visitor.post(path, {**visitor.page.fields, "flow": signed, "choice": "allow"})

    assert refused_as(visitor, EXPIRED, 400)


def test_a_form_of_another_browser_is_refused(house: House) -> None:
    """Login CSRF too: an attacker's form, with the attacker's name and password, sent by a victim's browser."""
    mallory = house.add_person()
    form = Visitor(house).get(asking(house).url).page
    victim = Visitor(house).get(asking(house).url)

    victim.post(form.action, {**form.fields, "username": mallory.upn, "password": PASSWORD})

    assert refused_as(victim, EXPIRED, 400)
    assert not [name for name in victim.cookies if "consent" in name]


def test_a_form_in_a_browser_without_our_cookie_is_refused(house: House) -> None:
    form = Visitor(house).get(asking(house).url).page

    stranger = Visitor(house).post(
        form.action, {**form.fields, "username": house.add_person().upn, "password": PASSWORD}
    )

    assert refused_as(stranger, EXPIRED, 400)


def test_the_form_of_one_step_is_not_good_for_another(house: House) -> None:
    ana, visitor = house.add_person(), Visitor(house).get(asking(house).url)
    first = visitor.page
    visitor.signs_in(ana)

    assert refused_as(visitor.post(CONSENT_PATH, {**first.fields, "choice": "allow"}), EXPIRED, 400)


def test_a_form_about_one_request_cannot_be_changed_to_another(house: House) -> None:
    ana, mallory_app, visitor = house.add_person(), asking(house), Visitor(house)
    visitor.get(asking(house).url).signs_in(ana)
    cookies_of_ana = dict(visitor.cookies)
    other = visitor.get(mallory_app.url).signs_in(ana).page
    visitor.cookies = cookies_of_ana

    visitor.post(other.action, {**other.fields, "choice": "allow"})

    assert refused_as(visitor, EXPIRED, 400)


@pytest.mark.parametrize("choice", ["", "Allow", "yes", "allow,refuse"])
def test_nothing_but_a_yes_is_a_yes(house: House, choice: str) -> None:
    visitor = Visitor(house).get(asking(house).url).signs_in(house.add_person()).submit(choice=choice)

    assert refused_as(visitor, EXPIRED, 400)


# Consent sessions


def test_a_consent_session_is_used_once(house: House) -> None:
    visitor = Visitor(house).get(asking(house).url).signs_in(house.add_person())
    consent, cookies = visitor.page, dict(visitor.cookies)
    first = visitor.post(consent.action, {**consent.fields, "choice": "allow"}).answer_to_application()

    visitor.cookies = cookies
    visitor.post(consent.action, {**consent.fields, "choice": "allow"})

    assert "code" in first
    assert refused_as(visitor, EXPIRED, 400)


@pytest.mark.parametrize("choice", ["refuse", "other", "neither"])
def test_a_consent_session_that_was_refused_is_no_longer_good_for_a_yes(house: House, choice: str) -> None:
    visitor = Visitor(house).get(asking(house).url).signs_in(house.add_person())
    consent, cookies = visitor.page, dict(visitor.cookies)
    visitor.submit(choice=choice)

    visitor.cookies = cookies
    visitor.post(consent.action, {**consent.fields, "choice": "allow"})

    assert refused_as(visitor, EXPIRED, 400)


def test_a_consent_session_in_another_browser_is_worth_nothing(house: House) -> None:
    ana, application = house.add_person(), asking(house)
    victim = Visitor(house).get(application.url).signs_in(ana)
    thief = Visitor(house).get(application.url).signs_in(house.add_person())
    consent_sessions = {name: value for name, value in victim.cookies.items() if "consent" in name}
    thief.cookies |= consent_sessions

    thief.submit(choice="allow")

    assert refused_as(thief, EXPIRED, 400)


def test_a_consent_without_a_sign_in_is_refused(house: House) -> None:
    visitor = Visitor(house).get(asking(house).url).signs_in(house.add_person())
    visitor.cookies = {name: value for name, value in visitor.cookies.items() if "consent" not in name}

    assert refused_as(visitor.submit(choice="allow"), EXPIRED, 400)


def test_a_user_removed_between_the_password_and_the_yes_gets_nothing(house: House) -> None:
    ana = house.add_person()
    visitor = Visitor(house).get(asking(house).url).signs_in(ana)
    house.running.run(house.directory.remove_user(house.tenant, ana))

    assert refused_as(visitor.submit(choice="allow"), EXPIRED, 400)


def test_a_user_with_another_password_since_has_to_sign_in_again(house: House) -> None:
    ana = house.add_person()
    visitor = Visitor(house).get(asking(house).url).signs_in(ana)
    house.set_password(ana, "another one altogether")

    answer = visitor.submit(choice="allow").answer_to_application()

    assert (answer["error"], answer["state"]) == ("login_required", "the-state")


def test_an_application_that_is_removed_meanwhile_gets_nothing(house: House) -> None:
    application = asking(house)
    visitor = Visitor(house).get(application.url).signs_in(house.add_person())
    house.running.run(house.directory.remove_application(house.tenant, application.application))

    visitor.submit(choice="allow")

    assert (visitor.shown.status, visitor.shown.header("location")) == (400, None)
    assert "AADSTS700016" in visitor.page.text


def test_nobody_says_yes_to_more_than_they_have_seen(house: House) -> None:
    application = asking(house).with_changes(scope="https://api.security.microsoft.com/.default")
    visitor = Visitor(house).get(application.url).signs_in(house.add_person())
    assert "Incident.ReadWrite" not in visitor.page.text
    house.running.run(
        house.directory.update_application(
            house.tenant, application.application, permissions=["Incident.Read", "Incident.ReadWrite"]
        )
    )

    assert refused_as(visitor.submit(choice="allow"), EXPIRED, 400)


# Open redirects, and what is lost on the way


@pytest.mark.parametrize(
    "uri",
    [
        "https://evil.example/back",
        "http://localhost.evil.example/back",
        "http://localhost@evil.example/back",
        "http://localhost/back/../evil",
        "http://localhost/back#",
        "http://localhost/back?next=https://evil.example",
        "http://localhost/backwards",
        "//evil.example/back",
        "javascript:alert(1)",
        "data:text/html,x",
        "/back",
        "",
        "http://localhost/back\r\nX-Evil: 1",
        "http://\u217cocalhost/back",
    ],
)
def test_nobody_is_sent_or_linked_to_where_the_application_is_not_registered(house: House, uri: str) -> None:
    for mode in ("query", "fragment", "form_post"):
        asked = asking(house).with_changes(redirect_uri=uri, response_mode=mode, prompt="none")

        visitor = Visitor(house).get(asked.url)

        assert (visitor.shown.status, visitor.shown.header("location")) == (400, None)
        assert "AADSTS50011" in visitor.page.text
        assert not visitor.page.tags & {"a", "form", "script"}
        assert visitor.shown.header("x-evil") is None


def test_an_unknown_application_sends_nobody_anywhere(house: House) -> None:
    asked = asking(house).with_changes(client_id="11111111-2222-3333-4444-555555555555")

    visitor = Visitor(house).get(asked.url)

    assert (visitor.shown.status, visitor.shown.header("location")) == (400, None)
    assert "AADSTS700016" in visitor.page.text


@pytest.mark.parametrize("name", ["redirect_uri", "client_id", "state", "anything"])
def test_a_field_that_comes_twice_is_refused_without_sending_anybody_anywhere(
    house: House, name: str
) -> None:
    application = asking(house)
    twice = f"{application.url}&{name}={quote(BACK)}&{name}=x"

    visitor = Visitor(house).get(twice)

    assert (visitor.shown.status, visitor.shown.header("location")) == (400, None)
    assert "AADSTS9000411" in visitor.page.text
    assert f"'{name}' is duplicated" in visitor.page.text


@pytest.mark.parametrize(
    "state", ["", " ", "a b+c%20&code=stolen#x", "\r\nSet-Cookie: a=b", "é\u2028☃", '"><script>', "x" * 4000]
)
@pytest.mark.parametrize("mode", ["query", "fragment"])
def test_the_state_comes_back_letter_by_letter_and_as_nothing_else(
    house: House, state: str, mode: str
) -> None:
    asked = asking(house).with_changes(state=state, response_mode=mode)

    visitor = Visitor(house).get(asked.url).signs_in(house.add_person()).submit(choice="allow")

    answer = visitor.answer_to_application()
    assert answer["state"] == state
    assert answer.keys() == {"code", "state", "iss"}
    assert [name for name, _ in visitor.shown.headers].count("set-cookie") == 1


FIELDS = ["client_id", "response_type", "response_mode", "redirect_uri", "scope", "state", "nonce", "prompt"]
FIELDS += ["login_hint", "code_challenge", "code_challenge_method", "resource", "request", "domain_hint"]
WORDS = [
    "",
    "none",
    "code",
    "S256",
    "form_post",
    "fragment",
    BACK,
    f"{BACK}/x",
    "https://evil.example",
    ".default",
]


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=some.dictionaries(
        some.sampled_from(FIELDS), some.none() | some.sampled_from(WORDS) | some.text(max_size=40), max_size=5
    )
)
def test_whatever_a_request_says_nobody_is_sent_anywhere_but_to_the_application(
    house: House, changes: dict[str, str | None]
) -> None:
    asked = _well_known(house).with_changes(**changes)

    visitor = Visitor(house).get(asked.url)

    assert visitor.shown.status in (200, 303, 400)
    if visitor.shown.status == 303:
        place = urlsplit(visitor.shown.header("location") or "")
        assert place[:3] == ("http", urlsplit(asked.fields["redirect_uri"]).netloc, "/back")
    else:
        assert visitor.shown.header("location") is None
        actions = {form["action"] for form in visitor.page.every("form")}
        assert actions <= {PASSWORD_PATH, asked.fields.get("redirect_uri")}


@cache
def _well_known(house: House) -> Asking:
    """One application for all examples of a test."""
    return asking(house)


def test_without_a_state_none_is_made_up(house: House) -> None:
    visitor = Visitor(house).get(asking(house).with_changes(state=None).url)

    answer = visitor.signs_in(house.add_person()).submit(choice="allow").answer_to_application()
    assert answer.keys() == {"code", "iss"}


@pytest.mark.parametrize(
    "url", ["https://a.example/b", "https://a.example/b?c=d", "com.a:/b", "http://[::1]:1/é"]
)
@pytest.mark.parametrize("value", ["\r\nX: y", "é", "a&b=c#d", "\x00\x7f", "\ud7ff"])
def test_an_address_with_an_answer_in_it_cannot_end_a_header(url: str, value: str) -> None:
    for made in (with_fields(url, {value: value}, in_fragment=False), in_ascii(url + value)):
        assert re.fullmatch(r"[\x21-\x7e]+", made)
        assert urlsplit(made).scheme == urlsplit(url).scheme


def test_a_policy_cannot_be_added_to_by_an_address() -> None:
    assert form_targets("https://a.example/; script-src *") == "'self' http: https:"
    assert form_targets("x y; script-src *:/") == "'self' http: https:"
    assert form_targets("com.example.app:/back") == "'self' http: https: com.example.app:"


# Hostile texts


def test_whatever_an_application_or_a_browser_says_is_shown_and_not_obeyed() -> None:
    asked = ConsentPrompt(
        application=ATTACK, tenant=ATTACK, permissions=(ATTACK,), target=ATTACK, wants_refresh=True
    )
    error = FormError(name="SignInRefused", detail=ATTACK)
    facts = {"message": ATTACK, "code": ATTACK, "request_id": ATTACK, "time": ATTACK}
    pages = [
        sign_in_page(CONTEXT, asked, ATTACK, user_name=ATTACK, error=error, cancel_url=ATTACK),
        consent_page(CONTEXT, asked, ATTACK, user=ATTACK),
        device_page(CONTEXT, ATTACK, error=error),
        device_done_page(CONTEXT, ATTACK, allowed=True),
        device_done_page(CONTEXT, ATTACK, allowed=False),
        render("request_refused.html", CONTEXT, **facts),
        render("unavailable.html", CONTEXT, **facts),
    ]

    for page in (ShownPage(each.encode()) for each in pages):
        assert "img" not in page.tags
        assert len(page.every("script")) == len(page.every("form"))
        assert not [name for _, each in page.elements for name in each if name.startswith("on")]
        assert "<script>alert(1)</script>" in page.text
        assert "{user}{0.__class__}" in page.text


def test_the_page_that_posts_the_answer_runs_its_own_script_alone() -> None:
    page = ShownPage(form_post_page(CONTEXT, f"https://a.example/{ATTACK}", {ATTACK: ATTACK}).encode())

    assert [tag for tag, _ in page.elements].count("script") == 1
    assert page.fields == {ATTACK: ATTACK}


@pytest.mark.parametrize("field", ["login_hint", "state", "nonce", "scope", "client_id", "redirect_uri"])
def test_no_field_of_a_request_becomes_an_element(house: House, field: str) -> None:
    visitor = Visitor(house).get(asking(house).with_changes(**{field: ATTACK}).url)

    if visitor.shown.status != 303:
        assert_harmless(visitor)
    assert visitor.shown.header("x-evil") is None


def test_a_user_name_and_a_device_code_become_no_elements_either(house: House) -> None:
    visitor = Visitor(house).get(asking(house).url).submit(username=ATTACK, password="x")
    assert visitor.page.fields["username"] == ATTACK.strip()
    assert_harmless(visitor)

    visitor.get(DEVICE_PATH).submit(user_code=ATTACK)
    assert_harmless(visitor)


def test_an_application_with_a_hostile_name_is_named_as_it_is(house: House) -> None:
    name = "<script>alert(1)</script>{tenant}"

    visitor = Visitor(house).get(asking(house, name=name).url)
    assert f"To continue to {name}" in visitor.page.text
    visitor.signs_in(house.add_person())

    assert f"{name} requests access" in visitor.page.text
    assert_harmless(visitor)


# Devices


def test_a_code_in_the_address_is_not_taken_over(house: House) -> None:
    for path in (DEVICE_PATH, f"/{house.tenant.guid}/oauth2/deviceauth", "/common/oauth2/deviceauth"):
        page = Visitor(house).get(f"{path}?{urlencode({'user_code': 'ABCD-EFGH', 'otc': 'ABCD-EFGH'})}").page

        assert page.fields["user_code"] == ""
        assert "ABCD" not in page.text


def test_a_person_who_enters_a_code_is_warned_of_those_who_send_codes(house: House) -> None:
    warning = "Only continue if you started this yourself on another device, and if nobody sent you the code."
    asked = ConsentPrompt(application="App", tenant="T", permissions=(), target=None)

    assert warning in Visitor(house).get(DEVICE_PATH).page.text
    assert warning in ShownPage(consent_page(CONTEXT, asked, "s", user="u").encode()).text


def test_an_unknown_code_says_nothing_about_what_is_known(house: House) -> None:
    texts = {
        Visitor(house).get(DEVICE_PATH).submit(user_code=code).page.text
        for code in ("", "ABCD-EFGH", "x" * 5000, "é", "0")
    }

    assert len(texts) == 1
    assert "It is unknown, was already used, or has expired." in texts.pop()


def test_codes_cannot_be_tried_one_after_the_other(house: House) -> None:
    visitor = Visitor(house).get(DEVICE_PATH)

    answers = [visitor.submit(user_code=f"ABCD-EFG{number}").shown for number in range(25)]

    assert [answer.status for answer in answers].index(503) == 20
    assert int(answers[-1].header("retry-after") or "0") > 0
    assert Visitor(house).get(DEVICE_PATH).submit(user_code="x").shown.status == 400


def test_passwords_cannot_be_tried_one_after_the_other_from_one_place(house: House) -> None:
    visitor = Visitor(house).get(asking(house).url)

    answers = [
        visitor.submit(username=f"user{number}@contoso.example", password="x").shown for number in range(32)
    ]

    assert [answer.status for answer in answers].index(503) == 30
    assert int(answers[-1].header("retry-after") or "0") > 0


def test_behind_a_proxy_one_place_does_not_use_up_the_attempts_of_others(behind_proxy: House) -> None:
    asked = asking(behind_proxy)
    # What a client says of itself comes in front of what the proxy says of it.
    https = ("X-Forwarded-Proto", "https")
    headers = [("X-Forwarded-For", "203.0.113.9, 198.51.100.1"), https]
    attacker = Visitor(behind_proxy, headers).get(asked.url)
    for number in range(31):
        attacker.submit(username=f"user{number}@contoso.example", password="x")

    other = Visitor(behind_proxy, [("X-Forwarded-For", "203.0.113.9"), https]).get(asked.url)

    assert attacker.shown.status == 503
    assert other.signs_in(behind_proxy.add_person()).shown.status == 200


# Sizes


def test_a_form_that_is_too_large_is_refused(house: House) -> None:
    visitor = Visitor(house).get(asking(house).url)

    visitor.post(PASSWORD_PATH, b"flow=" + b"x" * FORM_BYTES_MAX)

    assert visitor.shown.status == 413
    assert "html" in visitor.page.tags


def test_a_form_with_too_many_fields_or_strange_bytes_is_refused(house: House) -> None:
    for body in (b"&".join(b"a%d=1" % number for number in range(101)), b"\xff\xfe", b"a=%ff"):
        visitor = Visitor(house).get(asking(house).url).post(PASSWORD_PATH, body)

        assert visitor.shown.status == 400
        assert "AADSTS9000411" in visitor.page.text


@pytest.mark.parametrize("letter", ["s", '"', "\x00", "é", "☃"])
def test_the_largest_request_that_is_taken_comes_through_all_forms(house: House, letter: str) -> None:
    application = asking(house).with_changes(state="")
    room = REQUEST_BYTES_MAX - len(urlencode(application.fields))
    state = letter * (room // len(quote(letter))) + "s" * (room % len(quote(letter)))
    asked = application.with_changes(state=state)

    visitor = Visitor(house).post(asked.path, asked.fields).signs_in(house.add_person())

    assert visitor.submit(choice="allow").answer_to_application()["state"] == state
    assert visitor.post(asked.path, {**asked.fields, "more": "x"}).shown.status == 413


# Logs


def test_the_log_says_nothing_of_what_was_typed_sent_or_given(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with RunningHouse(tmp_path, logging=LoggingSettings(level="info")) as running:
        house = House(running)
        ana, asked = house.add_person(), asking(house).with_changes(login_hint="hint@contoso.example")
        visitor = Visitor(house).get(asked.url)
        visitor.signs_in(ana, "a wrong word").signs_in(ana).submit(choice="allow")
        code = visitor.answer_to_application()["code"]
        cookies = list(visitor.cookies.values())
        visitor.get(DEVICE_PATH).submit(user_code="ABCD-EFGH")
        visitor.get(asked.with_changes(redirect_uri="https://evil.example/x").url)

    written = [json.loads(line) for line in capfd.readouterr().err.splitlines() if '"request"' in line]
    # Servers of other tests may still write.
    own = next(line["request_id"][:-12] for line in written if line["tenant"] == house.tenant.guid)
    lines = [line for line in written if line["request_id"].startswith(own)]

    assert [line["route"] for line in lines] == [
        "/{tenant}/oauth2/v2.0/authorize",
        *[PASSWORD_PATH] * 2,
        CONSENT_PATH,
        *[DEVICE_PATH] * 2,
        "/{tenant}/oauth2/v2.0/authorize",
    ]
    assert [line["refusal"] for line in lines if line["refusal"]] == [
        "SignInRefused",
        "DeviceCodeUnknown",
        "AADSTS50011",
    ]
    assert all(line["tenant"] == house.tenant.guid for line in lines[:4])
    for secret in (ana.upn, PASSWORD, "wrong word", "the-state", "hint", code, "ABCD", "evil", *cookies):
        assert secret not in json.dumps(lines)
