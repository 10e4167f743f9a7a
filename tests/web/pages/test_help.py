"""The handbook is read by whoever comes, in their language; each page leads to its own part."""

from __future__ import annotations

import pytest

from tests.docs.handbook import NAMES
from tests.web.pages.staging import browser


@pytest.mark.parametrize("name", NAMES)
def test_nobody_has_to_sign_in_for_it(name: str) -> None:
    """Who needs it has no account yet, or stands before a door that is broken."""
    danish, english = (
        browser(lambda _: (), None, language).get(f"/help/{name}") for language in ("da", "en")
    )

    assert (danish.status_code, english.status_code) == (200, 200)
    assert "Håndbogen" in danish.text or name == "index"
    assert 'lang="en"' in english.text
    assert danish.text.count("<h1") == english.text.count("<h1") == 1


def test_its_contents_are_its_front_page() -> None:
    """Each page is one click away."""
    front = browser(lambda _: (), None).get("/help").text

    assert [name for name in NAMES if f'href="/help/{name}"' not in front] == ["index"]


@pytest.mark.parametrize(
    "name", ["none", "..%2Fda%2Findex", "index.md", "%00", "a%2Fb", "\u00e5", "a" * 300]
)
def test_nothing_else_is_served_by_it(name: str) -> None:
    """An address that names no page is no file of this machine.

    Bug (a second reading): a name that is too long for a file was a fault of the server.
    """
    assert browser(lambda _: (), None).get(f"/help/{name}").status_code == 404


def test_a_page_of_staff_leads_to_its_section() -> None:
    """Whoever asks for help on a page reads about that page first; others get the contents."""
    signed_in, stranger = browser(lambda _: ()), browser(lambda _: (), None)

    assert 'href="/help/librarian#help"' in signed_in.get("/help").text
    assert 'class="top-help" href="/help"' in stranger.get("/help").text
