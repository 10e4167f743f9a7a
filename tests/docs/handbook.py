"""Makes the pages of the handbook of its Markdown: ``python -m tests.docs.diagrams`` calls it.

The pages are kept beside their texts, so that a branch needs no Markdown and renders nothing. The
first line of a page is its title. A heading ends with its address, ``{#so}``, the same in each
language; a picture is drawn into the page, with the words of the page's language.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import click
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

from doorctl.cli.app import app

HANDBOOK = Path(__file__).parents[2] / "doorctl" / "handbook"
LANGUAGES = ("da", "en")
NAMES = tuple(sorted(path.stem for path in (HANDBOOK / "da").glob("*.md")))
TEXTS = tuple(HANDBOOK / language / f"{name}.md" for language in LANGUAGES for name in NAMES)

CONTENTS = {"da": "Indhold", "en": "Contents"}
FEW = 3
"""Sections that need no list of contents."""

_ADDRESS = re.compile(r" \{#([a-z0-9-]+)\}$")
_SVG = "{http://www.w3.org/2000/svg}"


class _Page(RendererHTML):
    """Draws a page: each method is the rule of its name; tables and commands scroll alone."""

    def table_open(self, tokens: Sequence[Token], idx: int, _options: Any, env: Any) -> str:
        """Name it after its section, for those who don't see it."""
        env["tables"] = env.get("tables", 0) + 1
        pairs = pairwise(tokens[:idx])
        section = [one.content for opening, one in pairs if opening.type == "heading_open"][-1]
        label = f"{section} ({env['tables']})"
        region = f'<div class="table-wide" role="region" aria-label="{label}" tabindex="0">'
        return f'{region}<table class="table">\n'

    def table_close(self, *_: Any) -> str:
        """End it."""
        return "</table></div>\n"

    def image(self, tokens: Sequence[Token], idx: int, _options: Any, env: Any) -> str:
        """Draw a picture into the page."""
        path = HANDBOOK / "pictures" / Path(str(tokens[idx].attrGet("src"))).name
        return picture(path, env["language"], tokens[idx].content)

    def link_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        """Lead to a page instead of its text."""
        leads = str(tokens[idx].attrGet("href"))
        tokens[idx].attrSet("href", re.sub(r"^(\w+)\.md", r"/help/\1", leads))
        return self.renderToken(tokens, idx, options, env)

    def code_inline(self, tokens: Sequence[Token], idx: int, _options: Any, _env: Any) -> str:
        """Let a long name go on in the next line after an underscore, on a telephone say."""
        code = escape(tokens[idx].content, quote=False).replace("_", "_<wbr>")
        return f"<code>{code}</code>"

    def fence(self, tokens: Sequence[Token], idx: int, _options: Any, _env: Any) -> str:
        """Let a long line scroll, so that nobody copies half a command."""
        return f'<pre tabindex="0"><code>{escape(tokens[idx].content, quote=False)}</code></pre>\n'


MARKDOWN = MarkdownIt("commonmark", {"html": False}, renderer_cls=_Page).enable("table")


def parsed(text: str) -> list[Token]:
    """Return the tokens of a text, its headings with their addresses as attributes."""
    tokens = MARKDOWN.parse(re.sub(r"<!-- /?\w+ -->\n", "\n", text))
    for opening, inline in pairwise(tokens):
        address = _ADDRESS.search(inline.content) if opening.type == "heading_open" else None
        if address and inline.children:
            opening.attrSet("id", address[1])
            inline.content = inline.content[: address.start()]
            inline.children[-1].content = _ADDRESS.sub("", inline.children[-1].content)
    return tokens


def headings(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield level, address and words of each heading."""
    tokens = parsed(text)
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open":
            yield opening.tag, str(opening.attrGet("id") or ""), inline.content


def page(path: Path) -> str:
    """Return the page of a text: its title, then HTML."""
    text, language = path.read_text("utf-8"), path.parent.name
    (_, _, title), *others = headings(text)
    sections = [(address, words) for tag, address, words in others if tag == "h2"]
    body: str = MARKDOWN.renderer.render(parsed(text), MARKDOWN.options, {"language": language})
    if len(sections) > FEW:
        rows = "".join(
            f'<li><a href="#{address}">{words}</a></li>\n' for address, words in sections
        )
        contents = (
            f'<nav class="contents" aria-label="{CONTENTS[language]}"><ul>\n{rows}</ul></nav>\n'
        )
        first, rest = body.split("<h2", 1)
        body = f"{first}{contents}<h2{rest}"
    return f"{title}\n{body}"


def picture(path: Path, language: str, title: str) -> str:
    """Return a drawing with the words of one language; `title` is for those who don't see it."""
    ET.register_namespace("", _SVG[1:-1])
    root = ET.parse(path).getroot()  # noqa: S314 -- our own
    for parent in list(root.iter()):
        for place, switch in enumerate(list(parent)):
            if switch.tag == f"{_SVG}switch":
                fits = [one for one in switch if one.get("systemLanguage", language) == language]
                fits[0].attrib.pop("systemLanguage", None)
                parent[place] = fits[0]
    root.set("role", "img")
    root.set("aria-label", title)
    return ET.tostring(root, encoding="unicode").strip()


def made() -> dict[Path, str]:
    """Return what each page is to hold."""
    return {path.with_suffix(".html"): page(path) for path in TEXTS}


def parse(command: str) -> None:
    """Parse a command line of ours as it would be parsed, and run nothing.

    Raises click.UsageError: no such command or option, or a value that it would refuse.
    """
    found: click.Command = app
    words = shlex.split(command)[1:]
    while isinstance(found, click.Group) and words:
        name = words.pop(0)
        found_in = found.get_command(click.Context(found), name)
        assert found_in is not None, f"there is no doorctl {name}"
        found = found_in
    if words or not isinstance(found, click.Group):
        found.make_parser(click.Context(found)).parse_args(words)
