from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.house import House, staged
from tests.browser.visitor import Visitors

CHROMIUM = ("chromium", "chromium-browser")
"""Debian's and Ubuntu's name of it."""

ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Run one browser for all tests; without one they are skipped, in CI they fail."""
    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if found is None:
        missing = "Chromium is missing: apt-get install chromium"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Stage one house for all tests; what a test changes it puts back."""
    with staged(tmp_path_factory.mktemp("house")) as house:
        yield house


@pytest.fixture(scope="session")
def visitors(chromium: Browser, house: House) -> Visitors:
    """Let people come to the house."""
    return Visitors(chromium, house)
