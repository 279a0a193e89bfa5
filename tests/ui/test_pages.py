"""The pages on which people sign in: what they show, what they do, and in which words."""

import base64
import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from tests.support.browser_double import Asking, Visitor, asking
from tests.support.house import INCIDENTS_API, Clock, House, RunningHouse
from tests.support.shown_page import ShownPage
from vigie.core.access import DELEGATED_PERMISSIONS
from vigie.ui.languages import LANGUAGES, language_for
from vigie.ui.rendering import PageContext
from vigie.ui.sign_in.views import CONSENT_PATH, DEVICE_PATH, PASSWORD_PATH, ConsentPrompt, consent_page
from vigie.ui.style_sheet import STYLE_PATH, style_sheet

CSP = "content-security-policy"
ENGLISH = PageContext(language="en", host="vigie.example")


def policy(visitor: Visitor) -> dict[str, str]:
    """The directives of the page that is shown."""
    parts = (visitor.shown.header(CSP) or "").split("; ")
    return {name: value for name, _, value in (part.partition(" ") for part in parts)}


def hashes_of_scripts(visitor: Visitor) -> str:
    """What the policy must allow: each script of the page, and nothing else."""
    scripts = re.findall(rb"<script>(.*?)</script>", visitor.shown.body, re.DOTALL)
    assert len(scripts) == len(visitor.page.every("script"))
    digests = [base64.b64encode(hashlib.sha256(script).digest()).decode() for script in scripts]
    return " ".join(f"'sha256-{digest}'" for digest in digests) or "'none'"


# Signing in


def test_somebody_who_signs_in_and_agrees_is_sent_back_with_a_code_and_the_state(house: House) -> None:
    ana, application = house.add_person(), asking(house)

    visitor = Visitor(house).get(application.url).signs_in(ana).submit(choice="allow")

    assert (visitor.shown.header("location") or "").startswith("http://localhost:53123/back?")
    answer = visitor.answer_to_application()
    assert answer.keys() == {"code", "state", "iss"}
    assert answer["state"] == "the-state"
    assert len(answer["code"]) >= 43


def test_the_first_page_names_the_application_the_organisation_and_the_address(house: House) -> None:
    application = asking(house)

    page = Visitor(house).get(application.url).page

    assert f"To continue to {application.application.name}" in page.text
    assert f"Organisation {house.tenant.name}" in page.text
    assert f"You are at {urlsplit(house.running.url).netloc}." in page.text
    assert "Vigie" in page.text
    assert page.action == PASSWORD_PATH


def test_the_second_says_in_words_what_is_asked_for_and_where_the_answer_goes(house: House) -> None:
    ana, application = house.add_person(), asking(house)

    page = Visitor(house).get(application.url).signs_in(ana).page

    assert f"{application.application.name} requests access" in page.text
    assert f"Signed in as {ana.upn}" in page.text
    assert f"Organisation {house.tenant.name}" in page.text
    assert "Read incidents you may see Incident.Read" in page.text
    assert "Know who you are" in page.text
    assert "Keep this access while you are away, until" in page.text
    assert "You will be redirected to http://localhost:53123." in page.text
    assert page.action == CONSENT_PATH


def test_what_is_not_asked_for_is_not_shown(house: House) -> None:
    application = asking(house).with_changes(scope="https://api.security.microsoft.com/Incident.Read")

    page = Visitor(house).get(application.url).signs_in(house.add_person()).page

    assert "Know who you are" not in page.text
    assert "while you are away" not in page.text


def test_an_application_hears_of_a_no(house: House) -> None:
    visitor = Visitor(house).get(asking(house).url).signs_in(house.add_person()).submit(choice="refuse")

    answer = visitor.answer_to_application()
    assert (answer["error"], answer["state"]) == ("access_denied", "the-state")
    assert answer["error_description"].startswith("AADSTS65004: ")
    assert "code" not in answer


def test_a_user_who_does_not_want_to_sign_in_finds_a_way_back(house: House) -> None:
    page = Visitor(house).get(asking(house).url).page

    (link,) = page.every("a")
    assert (link["href"] or "").startswith("http://localhost:53123/back?error=access_denied&")
    assert "state=the-state" in (link["href"] or "")


def test_another_account_can_be_used(house: House) -> None:
    ana, ben, application = house.add_person(), house.add_person(), asking(house)

    visitor = Visitor(house).get(application.url).signs_in(ana).submit(choice="other")
    assert visitor.page.action == PASSWORD_PATH
    visitor.signs_in(ben)

    assert f"Signed in as {ben.upn}" in visitor.page.text
    assert "code" in visitor.submit(choice="allow").answer_to_application()


def test_two_requests_can_be_open_beside_each_other(house: House) -> None:
    visitor, application, ana = Visitor(house), asking(house), house.add_person()

    first = visitor.get(application.with_changes(state="1").url).signs_in(ana).page
    visitor.get(application.with_changes(state="2").url).signs_in(ana)

    assert visitor.submit(choice="allow").answer_to_application()["state"] == "2"
    visitor.post(first.action, {**first.fields, "choice": "allow"})
    assert visitor.answer_to_application()["state"] == "1"


def test_nobody_stays_signed_in(house: House) -> None:
    visitor, application = Visitor(house), asking(house)
    visitor.get(application.url).signs_in(house.add_person()).submit(choice="allow")

    assert visitor.get(application.url).page.action == PASSWORD_PATH


def test_the_user_name_that_the_application_expects_is_filled_in(house: House) -> None:
    page = Visitor(house).get(asking(house).with_changes(login_hint="ana@contoso.example").url).page

    assert page.fields["username"] == "ana@contoso.example"
    (autofocus,) = [each["id"] for each in page.every("input") if "autofocus" in each]
    assert autofocus == "password"


@pytest.mark.parametrize("version", ["/v2.0", ""])
@pytest.mark.parametrize("tenant", ["guid", "common", "organizations"])
def test_every_address_of_the_authority_asks_who_it_is(house: House, version: str, tenant: str) -> None:
    application = asking(house)
    reference = house.tenant.guid if tenant == "guid" else tenant

    asked = Asking(house, application.application, reference, version)
    visitor = Visitor(house).get(asked.url).signs_in(house.add_person()).submit(choice="allow")

    assert "code" in visitor.answer_to_application()


def test_a_request_may_come_by_post(house: House) -> None:
    application = asking(house)

    visitor = Visitor(house).post(
        application.path,
        application.fields,
        [("Origin", "https://app.example"), ("Sec-Fetch-Site", "cross-site")],
    )

    assert visitor.page.action == PASSWORD_PATH
    assert "code" in visitor.signs_in(house.add_person()).submit(choice="allow").answer_to_application()


# What goes wrong


def test_a_wrong_password_an_unknown_name_and_a_locked_one_are_told_alike(house: House) -> None:
    ana, locked, application = house.add_person(), house.add_person(), asking(house)
    for _ in range(6):
        Visitor(house).get(application.url).signs_in(locked, "wrong")

    pages = [
        Visitor(house).get(application.url).submit(username=name, password=password)
        for name, password in [
            (ana.upn, "wrong"),
            ("nobody@contoso.example", "wrong"),
            (locked.upn, "a quiet harbour at noon"),
        ]
    ]

    assert {visitor.shown.status for visitor in pages} == {403}
    assert len({visitor.page.text for visitor in pages}) == 1
    assert "Incorrect user name or password" in pages[0].page.text


def test_after_a_wrong_password_the_page_is_there_again_with_the_name_and_says_so_first(house: House) -> None:
    ana, application = house.add_person(), asking(house)

    visitor = Visitor(house).get(application.url).signs_in(ana, "wrong")

    page = visitor.page
    assert page.fields["username"] == ana.upn
    assert page.fields["password"] == ""
    assert page.text.startswith("Error: ")
    (alert,) = [each for each in page.every("div") if each.get("role") == "alert"]
    assert alert.keys() >= {"autofocus", "tabindex"}
    assert "code" in visitor.signs_in(ana).submit(choice="allow").answer_to_application()


@pytest.mark.parametrize(("username", "password"), [("", "x"), ("ana@contoso.example", ""), (" ", "x")])
def test_a_form_that_is_not_filled_in_is_shown_again(house: House, username: str, password: str) -> None:
    visitor = Visitor(house).get(asking(house).url).submit(username=username, password=password)

    assert visitor.shown.status == 400
    assert "Enter your user name and your password." in visitor.page.text


def test_a_request_that_asks_for_no_page_is_told_that_one_is_needed(house: House) -> None:
    answer = Visitor(house).get(asking(house).with_changes(prompt="none").url).answer_to_application()

    assert (answer["error"], answer["state"]) == ("login_required", "the-state")


@pytest.mark.parametrize("prompt", ["login", "consent", "select_account", "create", "", "none login"])
def test_any_other_prompt_is_the_page_that_everybody_gets(house: House, prompt: str) -> None:
    assert Visitor(house).get(asking(house).with_changes(prompt=prompt).url).page.action == PASSWORD_PATH


def test_an_unknown_tenant_is_a_page_with_the_code(house: House) -> None:
    application = asking(house)

    visitor = Visitor(house).get(application.url.replace(application.tenant, "nobody.example"))

    assert visitor.shown.status == 400
    assert "AADSTS90002" in visitor.page.text
    assert visitor.page.every("a") == []


def test_what_the_application_may_be_told_of_it_is_told(house: House) -> None:
    asked = asking(house).with_changes(response_type="token")

    answer = Visitor(house).get(asked.url).answer_to_application()

    assert (answer["error"], answer["state"]) == ("unsupported_response_type", "the-state")


# Ways back


@pytest.mark.parametrize("mode", ["query", "fragment", "form_post"])
@pytest.mark.parametrize("version", ["", "/v2.0"])
@pytest.mark.parametrize("choice", ["allow", "refuse"])
def test_every_answer_names_the_issuer_of_the_discovery_document(
    house: House, version: str, mode: str, choice: str
) -> None:
    asked = replace(asking(house), version=version).with_changes(
        response_mode=mode, resource=None if version else INCIDENTS_API
    )
    document = Visitor(house).get(f"/{asked.tenant}{version}/.well-known/openid-configuration").shown.json

    visitor = Visitor(house).get(asked.url).signs_in(house.add_person()).submit(choice=choice)

    answer = visitor.page.fields if mode == "form_post" else visitor.answer_to_application()
    assert document["authorization_response_iss_parameter_supported"] is True
    assert answer["iss"] == document["issuer"]


@pytest.mark.parametrize("mode", ["query", "fragment", "form_post"])
def test_a_request_that_is_refused_at_once_hears_from_whom(house: House, mode: str) -> None:
    asked = asking(house).with_changes(response_mode=mode, scope="https://nobody.example/.default")

    visitor = Visitor(house).get(asked.url)

    answer = visitor.page.fields if mode == "form_post" else visitor.answer_to_application()
    assert "error" in answer
    assert answer["iss"] == f"{house.running.url}/{house.tenant.guid}/"


def test_under_the_address_of_every_tenant_no_answer_names_an_issuer(house: House) -> None:
    asked = replace(asking(house), tenant="common")
    document = Visitor(house).get("/common/v2.0/.well-known/openid-configuration").shown.json

    visitor = Visitor(house).get(asked.url).signs_in(house.add_person()).submit(choice="allow")

    assert document["authorization_response_iss_parameter_supported"] is False
    assert visitor.answer_to_application().keys() == {"code", "state"}


def test_an_answer_may_go_by_the_fragment(house: House) -> None:
    asked = asking(house).with_changes(response_mode="fragment")

    visitor = Visitor(house).get(asked.url).signs_in(house.add_person()).submit(choice="allow")

    assert (visitor.shown.header("location") or "").startswith("http://localhost:53123/back#code=")
    assert visitor.answer_to_application()["state"] == "the-state"


def test_an_answer_may_go_by_a_form_that_sends_itself_or_is_sent_by_its_button(house: House) -> None:
    asked = asking(house).with_changes(response_mode="form_post", state='"><script>')

    visitor = Visitor(house).get(asked.url).signs_in(house.add_person()).submit(choice="allow")

    page = visitor.page
    assert page.action == "http://localhost:53123/back"
    assert page.fields.keys() == {"code", "state", "iss"}
    assert page.fields["state"] == '"><script>'
    assert len(page.every("button")) == len(page.every("script")) == 1
    assert policy(visitor)["script-src"] == hashes_of_scripts(visitor)


def test_a_redirect_uri_keeps_the_query_that_it_has(house: House) -> None:
    asked = asking(house, "https://app.example/back?x=1").with_changes(
        redirect_uri="https://app.example/back?x=1"
    )

    visitor = Visitor(house).get(asked.url).signs_in(house.add_person()).submit(choice="allow")

    assert (visitor.shown.header("location") or "").startswith("https://app.example/back?x=1&code=")


def test_an_application_may_have_a_scheme_of_its_own(house: House) -> None:
    asked = asking(house, "com.example.app:/back").with_changes(redirect_uri="com.example.app:/back")

    visitor = Visitor(house).get(asked.url).signs_in(house.add_person())

    assert policy(visitor)["form-action"].endswith(" com.example.app:")
    assert "You will be redirected to com.example.app:/back." in visitor.page.text
    assert (visitor.submit(choice="allow").shown.header("location") or "").startswith(
        "com.example.app:/back?code="
    )


# Headers


def test_no_page_may_be_kept_framed_sniffed_or_told_of_elsewhere(house: House) -> None:
    application = asking(house)
    pages = [
        Visitor(house).get(application.url),
        Visitor(house).get(application.url).signs_in(house.add_person()),
        Visitor(house).get(application.url).signs_in(house.add_person()).submit(choice="allow"),
        Visitor(house).get(application.with_changes(redirect_uri="https://evil.example").url),
        Visitor(house).get(DEVICE_PATH),
        Visitor(house).post(CONSENT_PATH, {}),
    ]

    for visitor in pages:
        assert visitor.shown.header("cache-control") == "no-store"
        assert visitor.shown.header("referrer-policy") == "no-referrer"
        assert visitor.shown.header("x-content-type-options") == "nosniff"
        assert visitor.shown.header("x-frame-options") == "DENY"
        assert visitor.shown.header("cross-origin-opener-policy") == "same-origin"
        if visitor.shown.status != 303:
            rules = policy(visitor)
            assert (rules["default-src"], rules["frame-ancestors"], rules["base-uri"]) == ("'none'",) * 3
            assert rules["script-src"] == hashes_of_scripts(visitor)
            assert visitor.shown.header("content-language") == "en"


def test_the_form_with_the_password_goes_nowhere_else(house: House) -> None:
    visitor = Visitor(house).get(asking(house).url)

    assert policy(visitor)["form-action"] == "'self'"


def test_no_page_makes_a_browser_refuse_plain_http_on_this_machine(house: House) -> None:
    # A program on it waits for the answer there, under the same name. Under an address no browser keeps it.
    shown = house.running.request("GET", DEVICE_PATH, host="localhost:8443")

    assert shown.header("strict-transport-security") is None


def test_cookies_are_kept_from_scripts_and_other_sites(house: House) -> None:
    visitor = Visitor(house).get(asking(house).url)
    (browser,) = [value for name, value in visitor.shown.headers if name == "set-cookie"]
    visitor.signs_in(house.add_person())
    (consent_session,) = [value for name, value in visitor.shown.headers if name == "set-cookie"]

    assert re.fullmatch(r"vigie-browser=[\w-]{43}; Path=/; HttpOnly; SameSite=Lax", browser)
    assert re.fullmatch(
        r"vigie-consent-\w+=[\w.-]+; Path=/; HttpOnly; SameSite=Strict; Max-Age=600", consent_session
    )


def test_under_https_no_neighbour_can_set_them(behind_proxy: House) -> None:
    visitor = Visitor(behind_proxy, [("X-Forwarded-Proto", "https")]).get(DEVICE_PATH)

    (browser,) = [value for name, value in visitor.shown.headers if name == "set-cookie"]
    assert re.fullmatch(r"__Host-vigie-browser=[\w-]{43}; Path=/; HttpOnly; SameSite=Lax; Secure", browser)


def test_a_browser_keeps_its_cookie_from_page_to_page(house: House) -> None:
    visitor = Visitor(house).get(DEVICE_PATH)

    assert visitor.get(DEVICE_PATH).shown.header("set-cookie") is None


# Texts


@pytest.mark.parametrize(
    ("wished", "language"),
    [
        (None, "en"),
        ("", "en"),
        ("fr", "fr"),
        ("fr-CA,fr;q=0.9,en;q=0.8", "fr"),
        ("en-GB,fr;q=0.9", "en"),
        ("de,fr;q=0.5,en;q=0.2", "fr"),
        ("de", "en"),
        ("*", "en"),
        ("FR", "fr"),
        ("fr;q=0", "en"),
        ("fr;q=2", "en"),
        ("en;q=0.5, fr", "fr"),
        ("fr\x00", "en"),
        (",,;;q=,", "en"),
        ("x" * 10_000, "en"),
        ("de," * 10_000 + "fr", "en"),
    ],
)
def test_the_language_is_the_one_that_is_wished_for_most(wished: str | None, language: str) -> None:
    assert language_for(wished) == language


@pytest.mark.parametrize(
    ("language", "password", "permission", "code"),
    [
        ("en", "Password", "Read incidents you may see", "Enter the code"),
        ("fr", "Mot de passe", "Lire les incidents que vous pouvez voir", "Saisissez le code"),
    ],
)
def test_every_page_is_in_the_language_of_the_browser(
    house: House, language: str, password: str, permission: str, code: str
) -> None:
    visitor = Visitor(house, [("Accept-Language", language)])

    visitor.get(asking(house).url)
    assert password in visitor.page.text
    visitor.signs_in(house.add_person())
    assert permission in visitor.page.text
    assert ("html", {"lang": language}) in visitor.page.elements
    assert visitor.shown.header("content-language") == language
    assert code in visitor.get(DEVICE_PATH).page.text


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("permission", DELEGATED_PERMISSIONS)
def test_every_permission_has_words_in_every_language(language: str, permission: str) -> None:
    asked = ConsentPrompt(application="App", tenant="T", permissions=(permission,), target=None)
    unknown = ConsentPrompt(application="App", tenant="T", permissions=("Odd.Thing",), target=None)

    context = PageContext(language=language, host="vigie.example")
    said, fallback = (
        ShownPage(consent_page(context, each, "s", user="u").encode()) for each in (asked, unknown)
    )

    assert said.text != fallback.text.replace("Odd.Thing", permission)


def test_a_permission_without_words_goes_by_its_name() -> None:
    asked = ConsentPrompt(application="App", tenant="T", permissions=("Odd.Thing",), target=None)

    page = ShownPage(consent_page(ENGLISH, asked, "s", user="u").encode())

    assert "Use the permission Odd.Thing" in page.text


def test_an_application_that_asks_for_nothing_is_said_to() -> None:
    asked = ConsentPrompt(application="App", tenant="T", permissions=(), target=None)

    page = ShownPage(consent_page(ENGLISH, asked, "s", user="u").encode())

    assert "It requests nothing but your sign-in." in page.text


# Time


@pytest.fixture(scope="module")
def slow_house(store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHouse]:
    """A house with a clock that stands still."""
    with RunningHouse(tmp_path_factory.mktemp("slow"), clock=Clock()) as running:
        yield running


def test_a_page_may_stay_open_for_an_hour(slow_house: RunningHouse) -> None:
    house, clock = House(slow_house), slow_house.clock
    assert clock is not None
    ana, first, visitor = house.add_person(), *(Visitor(house).get(asking(house).url) for _ in range(2))

    clock.forward(seconds=3599)
    assert first.signs_in(ana).shown.status == 200
    clock.forward(seconds=1)
    assert visitor.signs_in(ana).shown.status == 400
    assert "This page is no longer valid" in visitor.page.text


def test_a_decision_may_take_ten_minutes(slow_house: RunningHouse) -> None:
    house = House(slow_house)
    ana, clock = house.add_person(), slow_house.clock
    assert clock is not None
    first, second = (Visitor(house).get(asking(house).url).signs_in(ana) for _ in range(2))

    clock.forward(seconds=599)
    assert "code" in first.submit(choice="allow").answer_to_application()
    clock.forward(seconds=1)
    assert second.submit(choice="allow").shown.status == 400


# Several servers


def test_what_one_server_of_an_installation_has_begun_another_may_finish(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("shared")
    with RunningHouse(folder) as first, RunningHouse(folder) as second:
        house, other = House(first), House(second)
        visitor = Visitor(house).get(asking(house).url)

        visitor.house = other
        visitor.signs_in(house.add_person())
        visitor.house = house
        visitor.submit(choice="allow")

        assert "code" in visitor.answer_to_application()


# Style


def test_the_style_is_served_and_asks_for_nothing_else(house: House) -> None:
    answer = house.get(STYLE_PATH, None)

    assert (answer.status, answer.header("content-type")) == (200, "text/css; charset=utf-8")
    assert answer.body == style_sheet()
    assert b"url(" not in style_sheet()
    assert b"@import" not in style_sheet()
    assert b"prefers-color-scheme: dark" in style_sheet()


def test_nothing_on_a_page_is_styled_or_acts_by_itself(house: House) -> None:
    for visitor in (
        Visitor(house).get(asking(house).url),
        Visitor(house).get(asking(house).url).signs_in(house.add_person()),
        Visitor(house).get(DEVICE_PATH),
    ):
        attributes = {name for _, attributes in visitor.page.elements for name in attributes}
        assert visitor.page.tags.isdisjoint({"style", "iframe", "object", "img", "base"})
        assert not {name for name in attributes if name.startswith("on") or name == "style"}
