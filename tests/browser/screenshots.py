"""``python -m tests.browser.screenshots``: a picture of every page, to be looked at."""

from __future__ import annotations

import base64
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click
from playwright.sync_api import sync_playwright

from tests.browser.house import staged
from tests.browser.screens import PANELS, STATES, demo, panel_of
from tests.browser.visitor import ARGUMENTS, LANGUAGES, VIEWS, Visitor, Visitors, found
from tests.browser.walk import STOPS

HERE = Path(__file__).parent / "screenshots"
"""Left out of commits by .gitignore."""

FRONT_PAGE = Path(__file__).parents[2] / "doorctl" / "demo" / "door.webp"
"""The picture in README.md."""


@click.command()
@click.option("--front-page", is_flag=True, help="Only README's picture of the demo, anew.")
def screenshots(*, front_page: bool) -> None:
    """Take a picture of every page, in each language and width, and of the panel in every state.

    Exit 1 where a page did not look as it should; the pictures are there all the same.
    """
    if front_page:
        with opened() as visitors:
            _front_page(visitors)
        return
    shutil.rmtree(HERE, ignore_errors=True)
    HERE.mkdir(parents=True)
    with opened() as visitors:
        wrongs = [*_pages(visitors, HERE), *_panel(visitors, HERE), *_demo(visitors, HERE)]
    for wrong in wrongs:
        click.echo(wrong, err=True)
    click.echo(f"{len(list(HERE.glob('*.png')))} pictures in {HERE}")
    sys.exit(bool(wrongs))


@contextmanager
def opened() -> Iterator[Visitors]:
    """Yield those who come to a house that is staged for them."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="doorctl-")))
        house = stack.enter_context(staged(directory))
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=found(), args=ARGUMENTS)
        stack.callback(browser.close)
        yield Visitors(browser, house)


def _pages(visitors: Visitors, into: Path) -> Iterator[str]:
    for view in VIEWS:
        for language in LANGUAGES:
            for stop in STOPS:
                with visitors.visitor(stop.role, view, language) as visitor:
                    status = visitor.go(stop.path).status
                    name = f"{stop}-{language}-{view.name}"
                    _take(visitor, into / f"{name}.png")
                    if status != stop.status:
                        yield f"{name}: {status}"
                    yield from (f"{name}: {wrong}" for wrong in _wrongs(visitor))


def _panel(visitors: Visitors, into: Path) -> Iterator[str]:
    for language in LANGUAGES:
        for view in (*PANELS, VIEWS[2]):
            with panel_of(visitors, view, language) as (visitor, show):
                for state in STATES:
                    show(state)
                    name = f"panel-{state.replace(' ', '-')}-{language}-{view.name}"
                    _take(visitor, into / f"{name}.png")
                    yield from (f"{name}: {wrong}" for wrong in _wrongs(visitor))


def _demo(visitors: Visitors, into: Path) -> Iterator[str]:
    for language in LANGUAGES:
        for view in (VIEWS[0], VIEWS[2]):
            with demo() as address, visitors.visitor(None, view, language, address) as visitor:
                visitor.go("/")
                name = f"demo-{language}-{view.name}"
                _take(visitor, into / f"{name}.png")
                yield from (f"{name}: {wrong}" for wrong in _wrongs(visitor))


def _front_page(visitors: Visitors) -> None:
    """Refuse two and let one in, and take door, people and log while the door stands released."""
    with demo() as address, visitors.visitor(None, VIEWS[0], "en", address) as visitor:
        visitor.go("/")
        page = visitor.page
        for number, name in enumerate(("Bo", "Freja", "Anna"), start=1):
            card = page.locator(".demo-person").filter(has=page.get_by_role("heading", name=name))
            card.locator("button[value=pin]").click()
            page.locator("#part-visits tbody span").nth(number - 1).wait_for()
        page.locator("#door[data-state~=relay]").wait_for()
        page.wait_for_timeout(1_000)  # the leaf swings
        top = page.locator("#the-door").bounding_box()
        assert top is not None
        clip = {"x": 32, "y": top["y"] + 8, "width": 1216, "height": 640, "scale": 0.8}
        taken = page.context.new_cdp_session(page).send(
            "Page.captureScreenshot",
            {"format": "webp", "quality": 85, "clip": clip, "captureBeyondViewport": True},
        )
        FRONT_PAGE.write_bytes(base64.b64decode(taken["data"]))


def _take(visitor: Visitor, path: Path) -> None:
    visitor.page.screenshot(path=path, full_page=True)


def _wrongs(visitor: Visitor) -> Iterator[str]:
    yield from visitor.wrongs
    visitor.wrongs.clear()
    if pixels := visitor.too_wide():
        yield f"{pixels} pixels too wide"


if __name__ == "__main__":
    screenshots()
