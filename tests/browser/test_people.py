"""A person's rights as the data-protection officer clicks through them, in every window."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page

from doorctl.accounts.roles import Role
from tests.browser.visitor import LANGUAGES, SIZES, View, Visitor, Visitors, in_sight

WHY = "sag 17"

BREAKS_NO_WORD = """
heading => {
    heading.style.overflowWrap = heading.style.wordBreak = 'normal';
    return heading.scrollWidth <= heading.clientWidth;
}
"""


def find(visitor: Visitor, patron: str) -> Page:
    """Find a person by number; return the page about them."""
    visitor.go("/people")
    page = visitor.page
    page.fill("#patron_ref", patron)
    page.fill("#why", WHY)
    with page.expect_navigation():
        page.click("form[action='/people/find'] button")
    return page


def deed(page: Page, of: str, button: str = "") -> None:
    """Go to a form by its link beside what is held, give the reason, and send it."""
    page.click(".held-deeds a[href='#object']")
    in_sight(page.locator(f"form[action='/people/{of}']"))
    page.fill(f"#{of}-why", WHY)
    with page.expect_navigation():
        page.click(f"form[action='/people/{of}'] button{button}")


@pytest.mark.parametrize(("patron", "decision"), [("1170", "rejected"), ("1171", "upheld")])
def test_an_objection_from_its_record_to_its_letter(
    visitors: Visitors, tmp_path: Path, patron: str, decision: str
) -> None:
    """Each answer is in sight in every window as the page comes, and so is how it stands later.

    Bug (a walk by hand): once it was decided, the person's page said nothing of the objection.
    """
    with visitors.visitor(Role.DPO) as visitor:
        page = find(visitor, patron)
        deed(page, "object")
        visitor.sees_in_every_window(".alert-success")
        page = find(visitor, patron)
        visitor.sees_in_every_window(".alert-warning")
        deed(page, "decide", f"[value={decision}]")
        visitor.sees_in_every_window(".alert-success")

        page = find(visitor, patron)
        visitor.sees_in_every_window(".alert-info")
        page.click(".held-deeds a[href='#hand-over']")
        page.fill("#export-why", WHY)
        for letter in ("page", "objection"):
            with page.expect_download() as download:
                page.click(f"form[action='/people/export'] button[value={letter}]")
            download.value.save_as(tmp_path / f"{letter}.html")
        assert visitor.wrongs == []
        for letter in ("page", "objection"):
            reads(visitor, tmp_path / f"{letter}.html")
        visitor.wrongs.clear()


def reads(visitor: Visitor, letter: Path) -> None:
    """Open a saved letter: its heading is in sight, and no line is wider than a window."""
    visitor.page.goto(letter.as_uri())
    for width, height in SIZES:
        visitor.resize(width, height)
        in_sight(visitor.page.locator("h1").first)
        assert visitor.too_wide() == 0


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("size", [(1280, 800), (390, 844)], ids=str)
def test_the_officers_handbook_begins_in_sight(
    visitors: Visitors, size: tuple[int, int], language: str
) -> None:
    """Its heading breaks between words, and what follows on it is seen.

    Bug (a walk by hand): a telephone broke the Danish heading in the middle of its longest word.
    """
    with visitors.visitor(Role.DPO, View("help", size[0], height=size[1]), language) as visitor:
        visitor.go("/help/dpo")
        visitor.sees(".help h1")
        visitor.sees(".help p:not(.no-print)")
        assert visitor.too_wide() == 0
        assert visitor.page.locator(".help h1").evaluate(BREAKS_NO_WORD)
        assert visitor.wrongs == []
