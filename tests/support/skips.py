"""A pytest plugin: every skip must be on the list, or CI fails."""

import os

import pytest

ALLOWED = (
    # The captured answers belong to others and are not part of the project.
    "the real answers are not here",
    "the captured answers are not here",
    # An unpacked source archive has no history to compare with.
    "this is no checkout of git",
    # A machine that runs containers need not have systemd.
    "systemd-analyze is not here",
)
"""How the reasons of skips that CI puts up with begin."""

_unlisted: list[str] = []
"""What was skipped besides. Where tests run in several processes, their reports all come to the first too."""


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note every skip whose reason is not on the list."""
    if report.skipped and isinstance(report.longrepr, tuple):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if not reason.startswith(ALLOWED):
            _unlisted.append(f"{report.nodeid}: {reason}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run in CI."""
    if _unlisted and os.environ.get("CI") == "true" and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which skips are not on the list."""
    for line in _unlisted:
        terminalreporter.write_line(
            f"a skip that is not on the list in tests/support/skips.py: {line}", red=True
        )
