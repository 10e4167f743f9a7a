"""Bugs that were found.

Bug (CI): a browser's driver left an event loop running, and other tests' loops failed beside it
(the tests' own).
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.house import House, staged
from tests.browser.screens import demo
from tests.browser.visitor import ARGUMENTS, LIMIT_MS, MISSING, Visitors, found


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """Run a browser; without one the tests are skipped, in CI they fail.

    It ends before a test of another package: while it runs, its driver's event loop counts as the
    process's running one, and tests that have loops of their own would fail.
    """
    path = found()
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS, timeout=LIMIT_MS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Stage one house for all tests; what a test changes it puts back."""
    with staged(tmp_path_factory.mktemp("house")) as house:
        yield house


@pytest.fixture(scope="package")
def virtual_door() -> Iterator[str]:
    """Where the demo is."""
    with demo() as address:
        yield address


@pytest.fixture(scope="package")
def visitors(chromium: Browser, house: House) -> Visitors:
    """Let people come to the house."""
    return Visitors(chromium, house)
