"""The pages in a real browser: by keyboard and screen reader, in the dark, on a small screen, without scripts."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import ConsoleMessage, Page, Route

from tests.support.browser_double import Asking, asking
from tests.support.chromium import Chromium, needs_chromium
from tests.support.house import PASSWORD, House, RunningHouse, a_name
from tests.support.redirect_listener import Listening, listening
from tests.support.sign_in_client import Program
from vigie.config.settings import IdentitySettings
from vigie.core.directory import User
from vigie.ui.languages import LANGUAGES
from vigie.ui.sign_in.views import DEVICE_PATH

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def patient(store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHouse]:
    """A house that one address may come to often: a browser has but one."""
    identity = IdentitySettings(
        revocation_seconds=0.1,
        sign_ins_per_minute=10_000,
        sign_ins_per_hour=10_000,
        user_codes_per_minute=10_000,
        user_codes_per_hour=10_000,
    )
    with RunningHouse(tmp_path_factory.mktemp("patient"), identity=identity) as running:
        yield running


@pytest.fixture(scope="module")
def house(patient: RunningHouse) -> House:
    return House(patient)


@pytest.fixture(scope="module")
def ana(house: House) -> User:
    return house.add_person()


@pytest.fixture
def back() -> Iterator[Listening]:
    with listening() as place:
        yield place


@pytest.fixture
def application(house: House, back: Listening) -> Asking:
    """One that waits for the browser on this machine."""
    return asking(house).with_changes(redirect_uri=back.url)


def url_of(application: Asking) -> str:
    return f"{application.house.running.url}{application.url}"


def sign_in(page: Page, user: User, password: str = PASSWORD) -> None:
    page.fill("#username", user.upn)
    page.fill("#password", password)
    page.click("button[type=submit]")


def code_shown_by_device(application: Asking) -> str:
    """What a device shows on which the application runs."""
    return str(Program(application.house, application.application).shows_code().json["user_code"])


# How to get to each page

AccessPath = Callable[[Page, Asking, User], None]


def to_sign_in(page: Page, application: Asking, _: User) -> None:
    page.goto(url_of(application))


def to_refused_sign_in(page: Page, application: Asking, _: User) -> None:
    page.goto(url_of(application))
    # Somebody else each time: a name has to wait after a few wrong passwords.
    page.fill("#username", f"{a_name('nobody')}@contoso.example")
    page.fill("#password", "wrong")
    page.click("button[type=submit]")
    page.wait_for_selector("[role=alert]")


def to_consent(page: Page, application: Asking, user: User) -> None:
    page.goto(url_of(application))
    sign_in(page, user)
    page.wait_for_selector("button[value=allow]")


def to_device(page: Page, application: Asking, _: User) -> None:
    page.goto(f"{application.house.running.url}{DEVICE_PATH}")


def to_wrong_code(page: Page, application: Asking, user: User) -> None:
    to_device(page, application, user)
    page.fill("#user_code", "bcdf-ghjk")
    page.click("button[type=submit]")
    page.wait_for_selector("[role=alert]")


def to_device_sign_in(page: Page, application: Asking, user: User) -> None:
    to_device(page, application, user)
    page.fill("#user_code", code_shown_by_device(application))
    page.click("button[type=submit]")
    page.wait_for_selector("#password")


def to_device_consent(page: Page, application: Asking, user: User) -> None:
    to_device_sign_in(page, application, user)
    sign_in(page, user)
    page.wait_for_selector("button[value=allow]")


def to_device_allowed(page: Page, application: Asking, user: User) -> None:
    to_device_consent(page, application, user)
    page.click("button[value=allow]")
    page.wait_for_selector(f"a[href='{DEVICE_PATH}']")


def to_device_refused(page: Page, application: Asking, user: User) -> None:
    to_device_consent(page, application, user)
    page.click("button[value=refuse]")
    page.wait_for_selector(f"a[href='{DEVICE_PATH}']")


def to_refused_request(page: Page, application: Asking, _: User) -> None:
    page.goto(url_of(application.with_changes(redirect_uri="https://evil.example")))


def to_expired_page(page: Page, application: Asking, user: User) -> None:
    to_sign_in(page, application, user)
    page.context.clear_cookies()
    sign_in(page, user)
    page.wait_for_selector("form", state="detached")


def to_form_post(page: Page, application: Asking, _: User) -> None:
    # The application answers that there is nothing new to show, so the browser stays on the page.
    page.context.route("http://localhost:*/**", lambda route: route.fulfill(status=204))
    url = url_of(application.with_changes(response_mode="form_post", prompt="none"))
    page.goto(url, wait_until="commit")
    page.wait_for_selector("button")


WAYS: dict[str, AccessPath] = {
    "sign-in": to_sign_in,
    "refused sign-in": to_refused_sign_in,
    "consent": to_consent,
    "device": to_device,
    "wrong code": to_wrong_code,
    "device sign-in": to_device_sign_in,
    "device consent": to_device_consent,
    "device allowed": to_device_allowed,
    "device refused": to_device_refused,
    "refused request": to_refused_request,
    "expired page": to_expired_page,
    "form post": to_form_post,
}

LOCALES = {"en": "en-GB", "fr": "fr-CA"}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("way", WAYS)
def test_axe_finds_nothing_on_any_page_in_any_language_by_day_or_night(
    chromium: Chromium, application: Asking, ana: User, way: str, language: str
) -> None:
    def look(page: Page) -> list[str]:
        WAYS[way](page, application, ana)
        assert page.locator("html").get_attribute("lang") == language
        faults = faults_found_by_axe(page)
        page.emulate_media(color_scheme="dark")
        return faults + faults_found_by_axe(page)

    assert chromium.do(look, locale=LOCALES[language], color_scheme="light") == []


def faults_found_by_axe(page: Page) -> list[str]:
    # Colours may still be on their way from one to the other.
    page.evaluate("Promise.all(document.getAnimations().map(each => each.finished))")
    found: dict[str, Any] = Axe().run(page).response
    assert len(found["passes"]) > 10
    return [f"{each['id']}: {each['nodes'][0]['html']}" for each in found["violations"]]


@pytest.mark.parametrize("way", WAYS)
def test_every_page_fits_a_small_screen_even_with_the_longest_names(
    chromium: Chromium, house: House, back: Listening, way: str
) -> None:
    name = a_name("Nachtwächterprogramm-der-Donaudampfschifffahrtsgesellschaft-und-aller-Anrainer")
    application = asking(house, name=name).with_changes(redirect_uri=back.url)
    person = house.add_person()

    def measure(page: Page) -> int:
        WAYS[way](page, application, person)
        return int(page.evaluate("document.documentElement.scrollWidth"))

    assert chromium.do(measure, locale="fr-FR", viewport={"width": 320, "height": 568}) <= 320


@pytest.mark.parametrize("way", WAYS)
def test_no_page_asks_for_what_its_policy_forbids(
    chromium: Chromium, application: Asking, ana: User, way: str
) -> None:
    said: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        said.append(message.text)

    def look(page: Page) -> None:
        page.on("console", listen)
        page.on("pageerror", lambda error: said.append(str(error)))
        WAYS[way](page, application, ana)

    chromium.do(look)

    # The browser notes answers that are refusals too; those are meant.
    assert [each for each in said if "the server responded with a status" not in each] == []


# By keyboard, and without scripts


def focused(page: Page) -> str:
    """What has the focus, by its id or its value."""
    return str(page.evaluate("document.activeElement.id || document.activeElement.value || ''"))


def test_somebody_signs_in_and_agrees_by_keyboard_alone(
    chromium: Chromium, application: Asking, back: Listening, ana: User
) -> None:
    order: list[str] = []

    def walk(page: Page) -> None:
        page.goto(url_of(application))
        order.append(focused(page))
        page.keyboard.type(ana.upn)
        page.keyboard.press("Tab")
        order.append(focused(page))
        page.keyboard.type(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_selector("button[value=allow]")
        for _ in range(3):
            page.keyboard.press("Tab")
            order.append(focused(page))
            outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline == "solid"
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Enter")
        page.wait_for_url("http://localhost:*/**")

    chromium.do(walk)

    assert order == ["username", "password", "allow", "refuse", "other"]
    assert back.answer.keys() == {"code", "state", "iss"}


def test_what_is_wrong_is_read_first_and_the_next_key_goes_to_the_form(
    chromium: Chromium, application: Asking, house: House
) -> None:
    def walk(page: Page) -> tuple[str, str]:
        page.goto(url_of(application))
        sign_in(page, house.add_person(), "wrong")
        page.wait_for_selector("[role=alert]")
        first = str(page.evaluate("document.activeElement.innerText"))
        page.keyboard.press("Tab")
        return first, focused(page)

    first, then = chromium.do(walk)

    assert "Incorrect user name or password" in first
    assert then == "username"


@pytest.mark.parametrize("mode", ["query", "fragment", "form_post"])
def test_everything_works_without_scripts(
    chromium: Chromium, application: Asking, back: Listening, ana: User, mode: str
) -> None:
    def walk(page: Page) -> str:
        to_consent(page, application.with_changes(response_mode=mode), ana)
        page.click("button[value=allow]")
        if mode == "form_post":
            page.get_by_role("button", name="Continue").click()
        page.wait_for_url("http://localhost:*/**")
        return page.url

    url = chromium.do(walk, java_script_enabled=False)

    answer = url.partition("#")[2] if mode == "fragment" else back.answer
    assert "code" in answer


def test_with_scripts_a_form_goes_to_the_application_by_itself(
    chromium: Chromium, application: Asking, back: Listening, ana: User
) -> None:
    def walk(page: Page) -> None:
        to_consent(page, application.with_changes(response_mode="form_post"), ana)
        page.click("button[value=allow]")
        page.wait_for_url("http://localhost:*/**")

    chromium.do(walk)

    ((method, path, fields),) = back.got
    assert (method, path) == ("POST", "/back")
    assert fields.keys() == {"code", "state", "iss"}


def test_a_no_comes_back_to_the_application_too(
    chromium: Chromium, application: Asking, back: Listening, ana: User
) -> None:
    def walk(page: Page) -> None:
        to_consent(page, application, ana)
        page.click("button[value=refuse]")
        page.wait_for_url("http://localhost:*/**")

    chromium.do(walk)

    assert back.answer["error"] == "access_denied"


def test_a_user_who_cancels_comes_back_without_signing_in(
    chromium: Chromium, application: Asking, back: Listening
) -> None:
    def walk(page: Page) -> None:
        page.goto(url_of(application))
        page.get_by_role("link", name="Cancel").click()
        page.wait_for_url("http://localhost:*/**")

    chromium.do(walk)

    assert back.answer["error"] == "access_denied"


def test_a_double_click_is_a_click_however_slow_the_answer_is(
    chromium: Chromium, application: Asking, back: Listening, ana: User
) -> None:
    def walk(page: Page) -> None:
        to_consent(page, application, ana)
        page.route("**/signin/consent", after_a_moment)
        page.dblclick("button[value=allow]")
        page.wait_for_url("http://localhost:*/**")

    def after_a_moment(route: Route) -> None:
        time.sleep(0.3)
        route.continue_()

    chromium.do(walk)

    assert "code" in back.answer


# What browsers enforce


def test_an_application_may_send_people_on_after_it_has_its_answer(
    chromium: Chromium, house: House, ana: User
) -> None:
    with listening() as home, listening(f"http://127.0.0.1:{home.port}/home") as back:
        application = asking(house).with_changes(redirect_uri=back.url)

        def walk(page: Page) -> None:
            to_consent(page, application, ana)
            page.click("button[value=allow]")
            page.wait_for_url("http://127.0.0.1:*/home")

        chromium.do(walk)

        assert "code" in back.answer
        assert [path for _, path, _ in home.got] == ["/home"]


def test_no_page_can_be_framed(chromium: Chromium, application: Asking) -> None:
    def look(page: Page) -> str:
        page.set_content(f'<iframe src="{url_of(application)}"></iframe>'.replace("&", "&amp;"))
        page.wait_for_timeout(500)
        return page.frames[1].content()

    assert "username" not in chromium.do(look)


def test_a_form_on_another_site_is_not_taken_for_ours(
    chromium: Chromium, application: Asking, house: House
) -> None:
    """Login CSRF in a browser: the attacker's own form and password, the victim's browser and cookie."""
    mallory = house.add_person()

    def attack(page: Page) -> str:
        page.goto(url_of(application))
        stolen = page.locator("input[name=flow]").get_attribute("value")
        action = f"{house.running.url}/signin/password"
        # Even with the very seal of the victim's page.
        page.goto("data:text/html,<p>evil")
        page.set_content(
            f'<form method="post" action="{action}"><input name="flow" value="{stolen}">'
            f'<input name="username" value="{mallory.upn}"><input name="password" value="{PASSWORD}">'
            "<button>Win a prize</button></form>"
        )
        page.click("button")
        page.wait_for_url(action)
        return page.inner_text("body")

    assert "Another site sent this form" in chromium.do(attack)


def test_the_window_that_opened_a_page_cannot_reach_it(
    chromium: Chromium, application: Asking, back: Listening
) -> None:
    def look(page: Page) -> bool:
        page.goto(back.url)
        with page.expect_popup() as opened:
            page.evaluate("url => { window.popup = window.open(url) }", url_of(application))
        opened.value.wait_for_selector("#username")
        return bool(page.evaluate("window.popup.closed"))

    assert chromium.do(look)
