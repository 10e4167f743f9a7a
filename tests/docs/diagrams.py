"""Draws diagrams and tables in the documents from the code: ``python -m tests.docs.diagrams``.

The text between ``<!-- NAME -->`` and ``<!-- /NAME -->`` is replaced.
"""

from __future__ import annotations

import ast
import json
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

from doorctl.access import attempt
from doorctl.access.panel import CODES
from doorctl.access.patron import SENTENCES, Reason
from doorctl.access.policy import CHECKS, PASS_CHECKS
from doorctl.access.throttle import (
    FREE,
    MOST_OF_ITS_OWN,
    MOST_WRONG_PINS,
    SHARED_WAIT_S,
    STOP_AT_FAILURES,
    UNANSWERED_DAYS,
    WAIT_AFTER_S,
    WRONG_PIN_DAYS,
)
from doorctl.config.extras import installed
from doorctl.core.alarms import KINDS, Urgency
from doorctl.door import leaf, strike
from doorctl.notices.mail import translated
from tests.benchmark import peers
from tests.docs import handbook

ROOT = Path(__file__).parents[2]
COMMANDS = ROOT / "doorctl" / "cli" / "README.md"
DECISION = ROOT / "doorctl" / "access" / "README.md"
DOCUMENTS = (
    ROOT / "README.md",
    ROOT / "doorctl" / "README.md",
    DECISION,
    ROOT / "doorctl" / "door" / "README.md",
    COMMANDS,
    ROOT / "doorctl" / "web" / "README.md",
    ROOT / "tests" / "TRACK_RECORD.md",
    *handbook.TEXTS,
)


def states(table: Mapping[tuple[Any, type], Any]) -> str:
    """Draw the states of a table of transitions; what changes nothing is left out."""
    return _diagram(
        (state, event, to) for (state, event), transition in table.items() for to in transition.to
    )


def reasons() -> str:
    """List every reason with both sentences."""
    rows = [
        f"| `{reason.value}` | {SENTENCES[reason][0]} | {SENTENCES[reason][1]} |"
        for reason in Reason
    ]
    return "\n".join(["| reason | dansk | English |", "|---|---|---|", *rows])


def checks() -> str:
    """List the decision's checks in their order, a pass's on a line of their own."""
    patron = ["known", *(check.name for check in CHECKS)]
    held = [check.name for check in PASS_CHECKS]
    lines = (" → ".join(f"**{name}**" for name in (*names, "ok")) for names in (patron, held))
    return "\n\nor, by a pass:\n\n".join(lines)


def throttle() -> str:
    """Tell the waits after wrong PINs."""
    waits = [f"{failures} wrong: {wait_s} s" for failures, wait_s in WAIT_AFTER_S.items()]
    stop = f"{STOP_AT_FAILURES} wrong: until staff say `doorctl patrons unlock`, or for 30 days"
    ever = (
        f"{MOST_WRONG_PINS} wrong at a card, right ones between them or not, or "
        f"{MOST_OF_ITS_OWN} beside others at the patron's other cards: "
        f"until staff say so, or one is {WRONG_PIN_DAYS} days old "
        f"({UNANSWERED_DAYS} without a right one)"
    )
    shared = f"{FREE} at all of a patron's cards: {SHARED_WAIT_S} s at the others too"
    return " · ".join([*waits, stop, shared, ever])


def reasons_in(language: str) -> str:
    """List every refusal by the screen's code, for the handbook."""
    head = {"da": "kode | grund | i loggen", "en": "code | reason | in the log"}[language]
    at = ("da", "en").index(language)
    rows = [
        f"| {CODES.get(reason, '')} | {SENTENCES[reason][at]} | `{reason.value}` |"
        for reason in sorted(Reason, key=lambda one: CODES.get(one, 0))
    ]
    return "\n".join([f"| {head} |", "|---|---|---|", *rows])


URGENCIES = {
    Urgency.NOW: {"da": "Se på det nu", "en": "Look at it now"},
    Urgency.TODAY: {"da": "Se på det i dag", "en": "Look at it today"},
    Urgency.NOTE: {"da": "Til orientering", "en": "To be known"},
}


def alarms_in(language: str) -> str:
    """List every alarm by its urgency, for the handbook; an end stands with what it ends."""
    head, over = {"da": ("alarm | gør", "slut"), "en": ("alarm | do", "end")}[language]
    ends = {kind.clears: f", {over} `{name}`" for name, kind in KINDS.items() if kind.clears}
    lines = []
    for urgency, words in URGENCIES.items():
        lines += [f"**{words[language]}**", "", f"| {head} |", "|---|---|"]
        lines += [
            f"| {translated(kind.means, language)} `{name}`{ends.get(name, '')} "
            f"| {translated(kind.act, language)} |"
            for name, kind in KINDS.items()
            if kind.urgency is urgency and not kind.clears
        ]
        lines.append("")
    return "\n".join(lines)


def floors() -> str:
    """List the floors from the top, and what each room on them is for."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    rows = [
        f"| {number} | `{room}` | {_first_line(ROOT / 'doorctl' / room / '__init__.py')} |"
        for number, floor in enumerate(reversed(contracts["contracts"][0]["layers"]))
        for room in floor.split(" | ")
    ]
    return "\n".join(["| floor | room | what lives there |", "|---|---|---|", *reversed(rows)])


_BUG = re.compile(r"^Bug \((.+?)\): (.+)$", re.DOTALL)
_HOLDERS = (ast.Module, ast.ClassDef, ast.FunctionDef)


def record() -> str:
    """List every bug that was found, from the docstrings of the tests that hold it.

    A paragraph of it is ``Bug (who found it): what happened.`` A bug may stand in several tests.
    """
    tests: dict[tuple[str, str], list[str]] = {}
    for file in sorted((ROOT / "tests").rglob("*.py")):
        path = file.relative_to(ROOT).as_posix()
        for holder in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(holder, _HOLDERS):
                where = path if isinstance(holder, ast.Module) else f"{path}::{holder.name}"
                for bug in _bugs(holder):
                    tests.setdefault(bug, []).append(f"`{where}`")
    rows = [f"| {by} | {what} | {', '.join(where)} |" for (by, what), where in tests.items()]
    return "\n".join(["| found by | what | test |", "|---|---|---|", *rows])


def compared_with_peers() -> str:
    """Show the last kept run of ``python -m tests.benchmark --peers --keep``."""
    return peers.as_markdown(json.loads(peers.KEPT.read_text("utf-8")))


def _bugs(holder: ast.Module | ast.ClassDef | ast.FunctionDef) -> Iterator[tuple[str, str]]:
    for paragraph in (ast.get_docstring(holder) or "").split("\n\n"):
        if bug := _BUG.match(paragraph.strip()):
            by, what = (" ".join(words.split()).replace("|", "\\|") for words in bug.groups())
            yield by, what


def _first_line(file: Path) -> str:
    return (ast.get_docstring(ast.parse(file.read_text("utf-8"))) or "").split("\n")[0]


PARTS: dict[str, Callable[[], str]] = {
    "attempt": partial(states, attempt.TRANSITIONS),
    "strike": partial(states, strike.TRANSITIONS),
    "leaf": partial(states, leaf.TRANSITIONS),
    "reasons": reasons,
    "checks": checks,
    "throttle": throttle,
    "floors": floors,
    "record": record,
    "peers": compared_with_peers,
    **{f"reasons_{language}": partial(reasons_in, language) for language in handbook.LANGUAGES},
    **{f"alarms_{language}": partial(alarms_in, language) for language in handbook.LANGUAGES},
}


def drawn(text: str) -> str:
    """Return a document with every part that stands in it drawn anew."""
    for name, draw in PARTS.items():
        opening, closing = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        if opening not in text:
            continue
        before, rest = text.split(opening)
        after = rest.split(closing)[1]
        text = f"{before}{opening}{draw()}\n{closing}{after}"
    return text


def _diagram(arrows: Iterable[tuple[Enum, type, Enum]]) -> str:
    labels: dict[tuple[str, str], list[str]] = {}
    for start, event, to in arrows:
        if start is not to:
            labels.setdefault((start.value, to.value), []).append(event.__name__)
    drawn_arrows = [
        f"    {start} --> {to}: {', '.join(names)}" for (start, to), names in labels.items()
    ]
    first = next(iter(labels))[0]
    return "\n".join(
        ["```mermaid", "stateDiagram-v2", f"    [*] --> {first}", *drawn_arrows, "```"]
    )


if __name__ == "__main__":
    # Their alarms are on the list, too.
    installed()
    for document in DOCUMENTS:
        document.write_text(drawn(document.read_text(encoding="utf-8")), encoding="utf-8")
    for path, page in handbook.made().items():
        path.write_text(page, encoding="utf-8")
