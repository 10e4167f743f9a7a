"""The page of people's rights: what is held of somebody, and to hand out, erase or restrict it.

A person is named by a card, a CPR number or the library system's number, always by a form that is
sent and never in an address. Where the library system's number is known, it and not the card goes
on from page to page; where it is not, the card is asked for again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import BaseRoute

from doorctl.access.staff_text import SHORT_TEXT
from doorctl.accounts.roles import Permission
from doorctl.errors import InputError
from doorctl.web.desks import Named, SubjectDesk
from doorctl.web.pages.forms import Form
from doorctl.web.pages.frame import Frame, PageRequest
from doorctl.web.staff import filled_in
from doorctl.web.staff.people_files import as_json, as_page
from doorctl.web.staff.people_words import cases, known_ref, left, looks, restricted

PAGE: Final = "/people"


@dataclass(frozen=True, slots=True)
class Wrong:
    """What of which form makes no sense, in English."""

    where: str
    text: str


class PeoplePages:
    """Show, hand out, erase and restrict what is held of a person.

    Args:
        frame: around each page.
        desk: knows what is held.
    """

    def __init__(self, frame: Frame, desk: SubjectDesk) -> None:
        self._frame = frame
        self._desk = desk

    def routes(self) -> tuple[BaseRoute, ...]:
        """Return them."""
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

    async def _page(self, asked: PageRequest) -> Response:
        return _shown(asked)

    async def _find(self, asked: PageRequest) -> Response:
        form = await asked.form()
        try:
            return await self._found(asked, form)
        except InputError as error:
            again, wrong = filled_in.shown_again(form), Wrong("find", filled_in.told(error))
            return _shown(asked, 422, form=again, wrong=wrong)

    async def _found(self, asked: PageRequest, form: Form) -> Response:
        named, why = _named(form), _why(form)
        export = await asked.aside(self._desk.export, named, why, asked.by)
        held: dict[str, Any] = {
            "empty": export.empty,
            "cases": cases(asked.words, export),
            "looks": looks(asked.words, export),
            "stones": export.tombstones,
            "ref": named.patron_ref or known_ref(export),
            "restricted": restricted(export),
        }
        return _shown(asked, form=form, held=held)

    async def _export(self, asked: PageRequest) -> Response:
        form = await asked.form()
        try:
            export = await asked.aside(self._desk.export, _named(form), _why(form), asked.by)
        except InputError as error:
            return _again(asked, form, "export", error)
        if form.text("as") == "json":
            return as_json(export, self._desk.branch(), asked.now)
        return as_page(export, self._frame.house.name, asked.now)

    async def _restrict(self, asked: PageRequest) -> Response:
        form = await asked.form()
        try:
            known = await asked.aside(self._desk.restrict, _named(form), _why(form), asked.by)
        except InputError as error:
            return _again(asked, form, "restrict", error)
        return asked.done(PAGE, "restricted" if known else "not_yet")

    async def _unrestrict(self, asked: PageRequest) -> Response:
        form = await asked.form()
        try:
            await asked.aside(self._desk.unrestrict, _named(form), _why(form), asked.by)
        except InputError as error:
            return _again(asked, form, "unrestrict", error)
        return asked.done(PAGE, "unrestricted")

    async def _erase(self, asked: PageRequest) -> Response:
        form = await asked.form()
        try:
            named, why = _named(form), _why(form)
            _refuse_unless_understood(form)
            done = await asked.aside(self._desk.erase, named, why, asked.by)
        except InputError as error:
            return _again(asked, form, "erase", error)
        # No redirect: what is left, and why, would have to stand in an address.
        return asked.page("people_erased.html", done=done, left=left(done))


def _shown(asked: PageRequest, status: int = 200, **context: Any) -> Response:
    blank = {
        "form": Form({}),
        "held": None,
        "wrong": None,
        "again": "",
        "readings": filled_in.READINGS,
        "longest": SHORT_TEXT,
    }
    return asked.page("people.html", status, **(blank | context))


def _again(asked: PageRequest, form: Form, what: str, error: InputError) -> Response:
    """Return the form of one deed alone, with what is wrong; who it is about is asked again."""
    wrong = Wrong(what, filled_in.told(error))
    return _shown(asked, 422, form=filled_in.shown_again(form), wrong=wrong, again=what)


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
