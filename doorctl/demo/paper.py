"""What is written to the viewer: two languages, colours and line ends that fit the terminal."""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO

import click

from doorctl.core.language import DANISH, own

LABEL_COLUMNS = 13

NARROWEST, WIDEST = 60, 120
"""Longer lines than this are hard to read, shorter ones can't hold a scene's title."""

PLAIN_COLUMNS = 80
"""For output without a terminal: a file, a mail, a CI log."""

ASCII = str.maketrans(
    {
        "æ": "ae", "ø": "oe", "å": "aa", "Æ": "Ae", "Ø": "Oe", "Å": "Aa",
        "●": "(*)", "○": "( )", "✓": "ok", "✗": "NO", "─": "-", "…": "...",
    }
)  # fmt: skip
"""As Danes write where the letters are missing; anything else becomes a question mark."""

TRACK_1 = re.compile(r"^(%.{15}).{20,}(?=;)")

SHADES: Mapping[str, Mapping[str, object]] = {
    "heading": {"bold": True, "fg": "cyan"},
    "quiet": {"dim": True},
    "good": {"bold": True, "fg": "green"},
    "bad": {"bold": True, "fg": "red"},
    "plain": {},
}


def in_both(text: str, **values: object) -> tuple[str, str]:
    """Return an English text in Danish too, Danish first; `values` fill in its places."""
    danish = own(DANISH).words.gettext(text)
    return danish.format(**values), text.format(**values)


@dataclass(frozen=True, slots=True)
class Paper:
    """Where the story is written, in prose of at most `columns`. One thread.

    With `live` somebody watches: raw lines are then broken, to be read, not copied.
    """

    columns: int = PLAIN_COLUMNS
    colour: bool = False
    ascii_only: bool = False
    live: bool = False

    @classmethod
    def fitting(cls, stream: TextIO, environment: Mapping[str, str]) -> Paper:
        """Return the paper for a stream, by what its terminal can show."""
        live = stream.isatty()
        dull = "NO_COLOR" in environment or environment.get("TERM", "dumb") == "dumb"
        columns = shutil.get_terminal_size((PLAIN_COLUMNS, 24)).columns if live else PLAIN_COLUMNS
        return cls(
            columns=min(max(columns, NARROWEST), WIDEST),
            colour=live and not dull,
            ascii_only=_ascii_only(stream, environment),
            live=live,
        )

    def write(self, text: str = "", shade: str = "plain", *, end: str = "\n") -> None:
        """Write text as it is, in a shade of :data:`SHADES`."""
        shown = self._fit(text.encode("utf-8", "replace").decode("utf-8"))
        if self.colour and shown:
            shown = click.style(shown, **SHADES[shade])  # type: ignore[arg-type]
        click.echo(f"{shown}{end}", nl=False, color=self.colour)

    def rule(self) -> None:
        """Draw a line across."""
        self.write("─" * self.columns, "quiet")

    def heading(self, at: str, title: str, count: str) -> None:
        """Open a scene: its time, its title and how far the evening is."""
        danish, english = in_both(title)
        self.write()
        self.rule()
        room = self.columns - len(at) - len(count) - 3
        self.write(f"{at}  {self._fit(danish):<{room}} {count}", "heading")
        self.write(f"{' ' * len(at)}  {english}", "quiet")

    def tell(self, text: str, **values: object) -> None:
        """Write a paragraph in both languages, Danish first."""
        for told, shade in zip(in_both(text, **values), ("plain", "quiet"), strict=True):
            for line in textwrap.wrap(self._fit(told), self.columns - 2):
                self.write(f"  {line}", shade)

    def item(self, label: str, text: str, shade: str = "plain") -> None:
        """Write one labelled line, or as many as it takes."""
        room = self.columns - LABEL_COLUMNS - 2
        lines = textwrap.wrap(self._fit(text), room, break_long_words=True) or [""]
        for number, line in enumerate(lines):
            self.label(label if number == 0 else "")
            self.write(line, shade)

    def label(self, label: str) -> None:
        """Write a label and stay on its line."""
        self.write(f"  {self._fit(label):<{LABEL_COLUMNS}}", "quiet", end="")

    def raw(self, label: str, line: str) -> None:
        """Write a log line of the door, unbroken where a program may read it."""
        if self.live:
            self.item(label, line)
        else:
            self.label(label)
            self.write(line)

    def quote(self, text: str) -> None:
        """Write what a command printed, line by line."""
        for line in self._fit(text).splitlines():
            for part in textwrap.wrap(line, self.columns, subsequent_indent="    "):
                self.write(part)

    def table(self, rows: Sequence[Sequence[str]]) -> None:
        """Write rows below each other; the first one, the head, in a quiet shade."""
        fitted = [[self._fit(cell) for cell in row] for row in rows]
        widths = [max(len(row[column]) for row in fitted) for column in range(len(fitted[0]) - 1)]
        for number, row in enumerate(fitted):
            cells = (f"{cell:<{width}}  " for cell, width in zip(row, widths, strict=False))
            start = f"  {''.join(cells)}"
            for line in textwrap.wrap(row[-1], self.columns - len(start)):
                self.write(f"{start}{line}", "plain" if number else "quiet")
                start = " " * len(start)

    def _fit(self, text: str) -> str:
        if not self.ascii_only:
            return text
        return text.translate(ASCII).encode("ascii", "replace").decode("ascii")


def visible(data: bytes) -> str:
    """Return bytes as readable text: escapes for non-ASCII bytes, track 1 cut."""
    text = data.decode("ascii", "surrogateescape").encode("unicode_escape").decode("ascii")
    text = text.replace("\\udc", "\\x").replace("\\\\", "\\")
    return TRACK_1.sub(r"\1 … ", text)


def _ascii_only(stream: TextIO, environment: Mapping[str, str]) -> bool:
    if (stream.encoding or "ascii").lower().replace("-", "") != "utf8":
        return True
    # Under LANG=C Python takes UTF-8 for granted and even sets LC_CTYPE (PEP 538, PEP 540);
    # the terminal may know better.
    overall = environment.get("LC_ALL")
    chosen = environment.get("LC_CTYPE", "") if overall is None else ""
    if chosen in {"C.UTF-8", "C.utf8", "UTF-8"}:
        chosen = ""
    return (overall or chosen or environment.get("LANG")) in {"C", "POSIX"}
