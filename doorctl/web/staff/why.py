"""The page that says why a card is refused, and what the patron or staff can do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import BaseRoute

from doorctl.access.panel import CODES
from doorctl.access.policy import Finding
from doorctl.access.staff_text import SHORT_TEXT
from doorctl.accounts.roles import Permission
from doorctl.enquiry import Explanation
from doorctl.errors import InputError, NotRunningError
from doorctl.web.desks import ExplainDesk
from doorctl.web.pages.forms import Form
from doorctl.web.pages.frame import Frame, PageRequest
from doorctl.web.pages.mode_words import MODES
from doorctl.web.pages.words import Words
from doorctl.web.staff import filled_in
from doorctl.web.staff.why_words import CHECKS, Help, help_with, sentence

PAGE: Final = "/why"
PASS_CHECKS: Final = "pass_"  # noqa: S105 -- how their names begin
THROTTLES: Final = frozenset({"throttle", "pass_throttle"})

REASONS: Mapping[str, str] = MappingProxyType(
    {
        "asks": "The patron asks at the desk",
        "calls": "The patron calls",
        "test": "A card is tried out",
        filled_in.OTHER: "Another reason",
    }
)
"""Why somebody looks, as a form calls it and in English; the first is the usual one."""


@dataclass(frozen=True, slots=True)
class CheckShown:
    """One check as it is shown.

    Args:
        title: what was asked, in English.
        passed: how it went.
        help: what it means and what can be done; None where it passed.
    """

    title: str
    passed: bool
    help: Help | None


class WhyPages:
    """Explain a card, and forget its wrong PINs.

    Args:
        frame: around each page.
        desk: knows the card.
    """

    def __init__(self, frame: Frame, desk: ExplainDesk) -> None:
        self._frame = frame
        self._desk = desk

    def routes(self) -> tuple[BaseRoute, ...]:
        """Return them."""
        guarded, may, post = self._frame.guarded, Permission.EXPLAIN, ("POST",)
        return (
            guarded(PAGE, self._page, may),
            guarded(PAGE, self._explain, may, post),
            guarded(f"{PAGE}/unlock", self._unlock, may, post),
        )

    async def _page(self, asked: PageRequest) -> Response:
        return _shown(asked)

    async def _explain(self, asked: PageRequest) -> Response:
        form = await asked.form()
        try:
            why = filled_in.reason(form, REASONS, self._frame.house.words_of(None))
            at = filled_in.moment(form.text("at"))
            typed, taken_as = filled_in.card(form), filled_in.taken_as(form)
            found = await asked.aside(self._desk.explain, typed, taken_as, at, why, asked.by)
        except InputError as error:
            return _shown(asked, 422, form=form, wrong=filled_in.told(error))
        except NotRunningError:
            # The key that finds a card is the door's alone.
            return _shown(asked, 503, form=form, codes=_codes(asked.words))
        return _shown(asked, found=found, form=form, **_found(asked.words, found))

    async def _unlock(self, asked: PageRequest) -> Response:
        form = await asked.form()
        try:
            typed, taken_as = filled_in.card(form), filled_in.taken_as(form)
            await asked.aside(self._desk.unlock, typed, taken_as, asked.by)
        except InputError as error:
            return _shown(asked, 422, unlocking=True, wrong=filled_in.told(error))
        return asked.done(PAGE, "unlocked")


def _shown(asked: PageRequest, status: int = 200, **context: Any) -> Response:
    blank = {
        "form": Form({}),
        "found": None,
        "wrong": "",
        "unlocking": False,
        "codes": {},
        "reasons": REASONS,
        "readings": filled_in.READINGS,
        "longest": SHORT_TEXT // 2,
    }
    return asked.page("why.html", status, **(blank | context))


def _codes(words: Words) -> dict[int, list[str]]:
    """Return what each code on the door's screen may mean."""
    said: dict[int, list[str]] = {}
    for reason, code in CODES.items():
        said.setdefault(code, []).append(sentence(words, reason))
    return said


def _found(words: Words, found: Explanation) -> dict[str, Any]:
    refused = next((one for one in found.findings if one.refused_with is found.reason), None)
    return {
        "told": sentence(words, found.reason),
        "help": None if refused is None else _check(refused).help,
        "tables": _tables(found.findings),
        "mode": MODES[found.standing.mode],
        "unlocking": any(
            one.check in THROTTLES and one.refused_with is not None for one in found.findings
        ),
    }


def _tables(findings: tuple[Finding, ...]) -> tuple[tuple[str, tuple[CheckShown, ...]], ...]:
    own = tuple(_check(one) for one in findings if not one.check.startswith(PASS_CHECKS))
    of_pass = tuple(_check(one) for one in findings if one.check.startswith(PASS_CHECKS))
    tables = (("What the register and the house rules say", own), ("What the pass says", of_pass))
    return tuple((title, checks) for title, checks in tables if checks)


def _check(finding: Finding) -> CheckShown:
    reason = finding.refused_with
    return CheckShown(
        CHECKS[finding.check],
        reason is None,
        None if reason is None else help_with(finding.check, reason),
    )
