"""Bugs that were found.

Bug (benchmark): web compiled each page at its first visit and kept the compiler's memory: 65.6 MB
instead of 62.4 with the rest of that round.
"""

from __future__ import annotations

import re
import weakref
from pathlib import Path

import pytest
from jinja2 import TemplateNotFound

from doorctl.web.frame import WEB, Templates

RAW = re.compile(r'([\w"<>]+) ?\| ?safe\b|autoescape|Markup')


class Row:
    """What a page shows; one can see when it is gone."""


def test_what_somebody_wrote_is_text_on_every_page() -> None:
    """Templates escape all values but these: a picture, a line's end and the handbook, all ours."""
    pages = (
        (path.name, path.read_text("utf-8")) for path in (WEB / "templates").glob("[!d]*.html")
    )
    raw = {(name, value) for name, page in pages for value in RAW.findall(page)}

    ours = {("me_factor.html", "picture"), ("help.html", "text")}
    assert raw == ours


def test_whoever_opens_a_page_first_does_not_wait_for_its_template(tmp_path: Path) -> None:
    """Once all are compiled their files are not looked at again; the demo's are left alone."""
    for name in ("now.html", "demo.html"):
        (tmp_path / name).write_text("{{ word }}", encoding="utf-8")
    templates = Templates(tmp_path)

    templates.compile_all()
    for path in tmp_path.iterdir():
        path.unlink()

    assert templates.render("now.html", {"word": "<b>"}) == "&lt;b&gt;"
    with pytest.raises(TemplateNotFound):
        templates.render("demo.html", {"word": "<b>"})


def test_a_page_that_was_sent_leaves_nothing_behind(tmp_path: Path) -> None:
    """Macros and what they show hold each other until somebody collects them.

    Bug (benchmark): some pages of rows waited for the collector, 3 MB of web.
    """
    page = "{% macro shown() %}{{ row }}{% endmacro %}{{ shown() }}"
    (tmp_path / "now.html").write_text(page, encoding="utf-8")
    row = Row()
    gone = weakref.ref(row)

    Templates(tmp_path).render("now.html", {"row": row})
    del row

    assert gone() is None
