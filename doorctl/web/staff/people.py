"""The page of people's rights: it shows, hands out, erases and restricts what is held of a person.

Staff name a person by a card, a CPR number or the library system's number, always in a form and
never in an address. The page passes on only the library system's number; where that is not known,
staff give the card again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from types import MappingProxyType
from typing import Any, Final, TypeVar

from starlette.responses import Response
from starlette.routing import BaseRoute

from doorctl.accounts.account import Permission
from doorctl.core.errors import InputError
from doorctl.core.language import DANISH
from doorctl.core.staff_text import SHORT_TEXT
from doorctl.privacy.letters import UNIX_EPOCH, Export, of_the_week, page, value
from doorctl.privacy.subject import Erasure, HeldRow
from doorctl.privacy.subject_table import PATRON, Column, Shown, Table
from doorctl.services import subject
from doorctl.services.app import App
from doorctl.services.numbers import Numbers
from doorctl.services.subject import Named
from doorctl.web.frame.forms import Form
from doorctl.web.frame.frame import Frame, PageRequest
from doorctl.web.frame.words import Words
from doorctl.web.staff import filled_in

# Files to hand out; a browser stores them and does not open them.

SANDBOX: Final = "sandbox; default-src 'none'; style-src 'unsafe-inline'"
"""For a browser that opens the page all the same: no script, form, session or loaded file."""


def as_json(export: Export, branch: str, at: datetime) -> Response:
    """Return the file for scripts, as `doorctl subject export --json` writes it.

    `branch` is the branch's id; `at` is now, in the branch's time zone.
    """
    assert at.tzinfo is not None  # noqa: S101 - a branch's time is aware
    about = {"branch": branch, "at": at.isoformat(timespec="seconds")}
    text = json.dumps({**about, **export.as_dict(at.tzinfo)}, ensure_ascii=False)
    return _file(text, "application/json", f"doorctl-{at:%Y-%m-%d}.json")


def as_page(export: Export, branch: str, at: datetime) -> Response:
    """Return the page for the person, in Danish; as :func:`as_json`, but `branch` is its name."""
    assert at.tzinfo is not None  # noqa: S101 - as above
    text = page(export, branch=branch, at=at, zone=at.tzinfo, language="da")
    return _file(text, "text/html", f"oplysninger-{at:%Y-%m-%d}.html")


def _file(text: str, kind: str, name: str) -> Response:
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "Content-Security-Policy": SANDBOX,
    }
    return Response(text, media_type=kind, headers=headers)


# What is held of a person, as text for the page; it is escaped later.

RESTRICTIONS: Final = "restrictions"
MOST_LOOKS: Final = 50
"""How many of the last looks by staff the page shows; a file has them all."""

ACTIONS: Mapping[str, str] = MappingProxyType(
    {
        "visits_listed": "The door log was shown",
        "visits_exported": "The door log was exported",
        "card_searched": "The card was searched for",
        "visit_revealed": "A visit was revealed",
        "patron_explained": "The card was looked up",
        "card_unlocked": "Wrong PINs were forgotten",
        "ban_added": "A ban was added",
        "bans_listed": "The list of bans was shown",
        "pass_issued": "A pass was issued",
        "passes_listed": "The list of passes was shown",
        "subject_exported": "What is held was looked at or handed out",
        "subject_restricted": "The data were restricted",
        "subject_unrestricted": "The restriction was ended",
    }
)
"""The audit log's names for what can be about one person, in English; others stay as they are."""


@dataclass(frozen=True, slots=True)
class Case:
    """The rows of one table: its name, and for each row what each column says."""

    name: str
    rows: tuple[tuple[tuple[str, str], ...], ...]


@dataclass(frozen=True, slots=True)
class Look:
    """What staff did: when, what and why, as text."""

    at: str
    what: str
    why: str


def cases(words: Words, export: Export) -> tuple[Case, ...]:
    """Return what is held, by table: in Danish on a Danish page, else in English."""
    return tuple(
        Case(_name(words, table), tuple(_row(words, row) for row in rows))
        for table, rows in groupby(export.rows, key=lambda row: row.table)
    )


def looks(words: Words, export: Export) -> tuple[Look, ...]:
    """Return the last looks by staff, newest first."""
    return tuple(
        Look(words.moment(lookup.at), words.say(ACTIONS.get(lookup.what, lookup.what)), lookup.why)
        for lookup in reversed(export.lookups[-MOST_LOOKS:])
    )


def known_ref(export: Export) -> str:
    """Return the person's number in the library system; empty where no row has one."""
    numbers = (
        str(stored)
        for row in export.rows
        for name, stored in zip(row.table.names, row.values, strict=True)
        if name == PATRON and stored
    )
    return next(numbers, "")


def restricted(export: Export) -> bool:
    """Tell whether the person's data are restricted here."""
    return any(row.table.name == RESTRICTIONS for row in export.rows)


def left(done: Erasure) -> tuple[tuple[str, str], ...]:
    """Return each database that still holds something, and why."""
    return tuple(sorted(done.left.items()))


def _row(words: Words, row: HeldRow) -> tuple[tuple[str, str], ...]:
    pairs = zip(row.table.columns, row.values, strict=True)
    return tuple((_name(words, column), _value(words, column, stored)) for column, stored in pairs)


def _value(words: Words, column: Column, stored: Any) -> str:
    if column.shown is Shown.OF_STAFF:
        return words.say("(a member of staff)")
    if stored is None or stored in ("", "[]"):
        return words.say("(none)")
    if column.shown is Shown.FLAG:
        return words.say("yes") if stored else words.say("no")
    if column.shown is Shown.TIME:
        return words.moment(_instant(stored))
    danish = words.language.code == DANISH
    return of_the_week(column, stored, danish=danish) or str(value(column, stored, words.zone))


def _instant(stored: int) -> datetime:
    return UNIX_EPOCH + timedelta(milliseconds=stored)


def _name(words: Words, named: Table | Column) -> str:
    return named.danish if words.language.code == DANISH else named.english


PAGE: Final = "/people"
ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class Wrong:
    """Which form makes no sense, and why."""

    where: str
    text: str


class PeoplePages:
    """Show, hand out, erase and restrict what is held of a person."""

    def __init__(self, frame: Frame, app: App, numbers: Numbers) -> None:
        self._frame = frame
        self._app = app
        self._numbers = numbers

    def routes(self) -> tuple[BaseRoute, ...]:
        """Return the routes of these pages."""
        may, post = Permission.SUBJECT_RIGHTS, ("POST",)
        forms = {
            "/find": self._find,
            "/export": self._export,
            "/restrict": self._restrict,
            "/unrestrict": self._unrestrict,
            "/erase": self._erase,
        }
        return (
            self._frame.guarded(PAGE, self._page, may),
            *(self._frame.guarded(f"{PAGE}{end}", use, may, post) for end, use in forms.items()),
        )

    async def _page(self, request: PageRequest) -> Response:
        return _shown(request)

    async def _do(
        self, request: PageRequest, deed: Callable[..., ResultT], named: Named, why: str
    ) -> ResultT:
        config, numbers = self._app.config, self._numbers
        return await request.aside(deed, config, named, why, numbers=numbers, by=request.by)

    async def _find(self, request: PageRequest) -> Response:
        form = await request.form()
        try:
            return await self._held_page(request, form)
        except InputError as error:
            again, wrong = filled_in.shown_again(form), Wrong("find", request.words.refusal(error))
            return _shown(request, 422, form=again, wrong=wrong)

    async def _held_page(self, request: PageRequest, form: Form) -> Response:
        named, why = _named(form), _why(form)
        export = await self._do(request, subject.export, named, why)
        held: dict[str, Any] = {
            "empty": export.empty,
            "cases": cases(request.words, export),
            "looks": looks(request.words, export),
            "stones": export.tombstones,
            "ref": named.patron_ref or known_ref(export),
            "restricted": restricted(export),
        }
        return _shown(request, form=form, held=held)

    async def _export(self, request: PageRequest) -> Response:
        form = await request.form()
        try:
            export = await self._do(request, subject.export, _named(form), _why(form))
        except InputError as error:
            return _again(request, form, "export", error)
        if form.text("as") == "json":
            return as_json(export, self._app.config.branch.id, request.now)
        return as_page(export, self._frame.house.name, request.now)

    async def _restrict(self, request: PageRequest) -> Response:
        form = await request.form()
        try:
            known = await self._do(request, subject.restrict, _named(form), _why(form))
        except InputError as error:
            return _again(request, form, "restrict", error)
        return request.done(PAGE, "restricted" if known else "not_yet")

    async def _unrestrict(self, request: PageRequest) -> Response:
        form = await request.form()
        try:
            await self._do(request, subject.unrestrict, _named(form), _why(form))
        except InputError as error:
            return _again(request, form, "unrestrict", error)
        return request.done(PAGE, "unrestricted")

    async def _erase(self, request: PageRequest) -> Response:
        form = await request.form()
        try:
            named, why = _named(form), _why(form)
            _refuse_unless_understood(form)
            done = await self._do(request, subject.erase, named, why)
        except InputError as error:
            return _again(request, form, "erase", error)
        # No redirect: what is left, and why, would have to stand in an address.
        return request.page("people_erased.html", done=done, left=left(done))


def _shown(request: PageRequest, status: int = 200, **context: Any) -> Response:
    blank = {
        "form": Form({}),
        "held": None,
        "wrong": None,
        "again": "",
        "readings": filled_in.READINGS,
        "longest": SHORT_TEXT,
    }
    return request.page("people.html", status, **(blank | context))


def _again(request: PageRequest, form: Form, what: str, error: InputError) -> Response:
    """Return only this action's form, with what is wrong; it asks for the person again."""
    wrong = Wrong(what, request.words.refusal(error))
    return _shown(request, 422, form=filled_in.shown_again(form), wrong=wrong, again=what)


def _named(form: Form) -> Named:
    ref, typed = form.text(filled_in.PATRON_REF), form.text(filled_in.CARD)
    if bool(ref) == bool(typed):
        raise InputError("give the card, or the number in the library system, and not both")
    return Named(typed or None, ref or None, filled_in.taken_as(form) if typed else None)


def _why(form: Form) -> str:
    why = form.text("why")
    if not why:
        raise InputError("write the reason, such as the number of the case")
    return why


def _refuse_unless_understood(form: Form) -> None:
    if not form.ticked("understood"):
        raise InputError("tick that you understand; nothing was erased")
