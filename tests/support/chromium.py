"""A real browser for tests: the machine's own Chromium, without a window, on a thread of its own."""

import shutil
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = shutil.which("chromium")

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="Chromium is not installed: apt install chromium"
)

T = TypeVar("T")

_WAIT_SECONDS = 60


class Chromium:
    """Opens pages for work that is done on its thread.

    A thread, because Playwright keeps an event loop running where it is, and because libraries wait for the
    browser on the thread that calls them.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="chromium")
        self._playwright: Any = None
        self._browser: Browser

    def __enter__(self) -> "Chromium":
        self._thread.submit(self._start).result(_WAIT_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.submit(self._stop).result(_WAIT_SECONDS)
        self._thread.shutdown()

    def start(self, work: Callable[[Page], T], **options: Any) -> Future[T]:
        """Begin something with a new page, in a browser that knows nothing yet."""
        return self._thread.submit(self._work, work, options)

    def do(self, work: Callable[[Page], T], **options: Any) -> T:
        """Do something with a new page, and wait for it."""
        return self.start(work, **options).result(_WAIT_SECONDS)

    def _work(self, work: Callable[[Page], T], options: dict[str, Any]) -> T:
        # Our authority is nobody's in the system's store; the libraries check it, which are what is tested.
        with self._browser.new_context(ignore_https_errors=True, **options) as context:
            context.set_default_timeout(15_000)
            return work(context.new_page())

    def _start(self) -> None:
        self._playwright = sync_playwright().start()
        # Without Chromium's own sandbox, as Playwright has it: that works neither for root nor in every container.
        self._browser = self._playwright.chromium.launch(executable_path=CHROMIUM)

    def _stop(self) -> None:
        self._browser.close()
        self._playwright.stop()
