"""The landing and reference pages in a real browser: Redoc shows every call, and nothing is read from elsewhere."""

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import ConsoleMessage, Page, Request, expect

from tests.support.chromium import Chromium, needs_chromium
from tests.support.house import House, RunningHouse

pytestmark = needs_chromium

WCAG = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
CHECKED = {"include": [["[id='tag/Incidents/operation/getIncident']"], [".menu-content"]]}
"""One call with all that hangs on it, and the menu: the whole page takes axe more than a minute."""

LOGO = "https://cdn.redoc.ly/redoc/logo-mini.svg"
"""The one file that Redoc would take from elsewhere; the page's policy keeps the browser from asking for it."""


@pytest.fixture(scope="module")
def house(store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with RunningHouse(tmp_path_factory.mktemp("reference")) as running:
        yield House(running)


def shown(page: Page, house: House) -> None:
    page.goto(f"{house.running.url}/reference")
    expect(page.get_by_role("heading", name="Update one incident")).to_be_attached(timeout=40_000)


def test_it_shows_a_call_with_samples_and_answers(chromium: Chromium, house: House) -> None:
    def look(page: Page) -> tuple[str, bool]:
        shown(page, house)
        call = page.locator("[id='tag/Incidents/operation/getIncident']")
        return call.inner_text(), page.get_by_text("headIncident", exact=True).count() == 0

    text, is_folded = chromium.do(look)

    assert "Read one incident" in text
    assert f"{house.running.url}/api/incidents/5127" in text
    assert "curl" in text
    assert "Python" in text
    assert is_folded


def test_a_search_finds_a_call(chromium: Chromium, house: House) -> None:
    def search(page: Page) -> list[str]:
        shown(page, house)
        page.get_by_role("textbox").first.fill("device")
        found = page.locator("[data-role='search:results'] [role='menuitem']")
        expect(found.first).to_be_visible(timeout=40_000)
        return found.all_inner_texts()

    found = chromium.do(search)

    assert any("device" in each.lower() for each in found)


def test_nothing_is_read_from_elsewhere_and_nothing_is_against_the_policy_but_a_logo(
    chromium: Chromium, house: House
) -> None:
    def watch(page: Page) -> tuple[set[tuple[str, str]], list[str]]:
        ours = (house.running.url, f"blob:{house.running.url}", "data:")
        elsewhere: set[tuple[str, str]] = set()
        errors: list[str] = []

        def note(request: Request) -> None:
            if not request.url.startswith(ours):
                elsewhere.add((request.url, request.failure or "it was answered"))

        def note_error(message: ConsoleMessage) -> None:
            if message.type == "error":
                errors.append(message.text)

        page.on("requestfailed", note)
        page.on("requestfinished", note)
        page.on("console", note_error)
        page.on("pageerror", lambda error: errors.append(str(error)))
        shown(page, house)
        page.wait_for_load_state("networkidle")
        return elsewhere, errors

    elsewhere, errors = chromium.do(watch)

    # The page may be idle before the browser has said what came of the logo.
    assert elsewhere <= {(LOGO, "csp")}
    assert [error for error in errors if LOGO not in error] == []


@pytest.mark.parametrize("width", [1300, 390])
def test_axe_finds_nothing_that_keeps_people_from_using_it(
    chromium: Chromium, house: House, width: int
) -> None:
    def check(page: Page) -> list[str]:
        shown(page, house)
        return [each["id"] for each in Axe().run(page, CHECKED, WCAG).response["violations"]]

    assert chromium.do(check, viewport={"width": width, "height": 900}) == []


def test_without_scripts_it_says_where_the_document_is(chromium: Chromium, house: House) -> None:
    def read(page: Page) -> str:
        page.goto(f"{house.running.url}/reference")
        return page.inner_text("body")

    assert "openapi.yaml" in chromium.do(read, java_script_enabled=False)


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("language", ["en-GB", "fr-FR"])
def test_axe_finds_nothing_on_the_landing_page_which_fits_a_small_screen(
    chromium: Chromium, house: House, language: str, colours: str
) -> None:
    def check(page: Page) -> tuple[list[str], bool, list[str]]:
        errors: list[str] = []
        page.on("console", lambda message: errors.append(message.text))
        page.goto(house.running.url)
        fits = page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        return [each["id"] for each in Axe().run(page).response["violations"]], bool(fits), errors

    viewport = {"width": 320, "height": 640}
    found, fits, errors = chromium.do(check, locale=language, color_scheme=colours, viewport=viewport)

    assert (found, fits, errors) == ([], True, [])
