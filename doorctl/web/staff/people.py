"""The page of people's rights: it shows, hands out, erases and restricts what is held of a person.

Staff name a person by a card, a CPR number or the library system's number, always in a form and
never in an address. The page passes on only the library system's number; where that is not known,
staff give the card again.
"""

from __future__ import annotations

import json
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import BaseRoute

from doorctl.accounts.roles import Permission
from doorctl.core.errors import InputError
from doorctl.privacy.subject import Decision
from doorctl.services import subject
from doorctl.services.subject import Named
from doorctl.web.forms import BLANK, Form
from doorctl.web.frame import Frame, PageRequest
from doorctl.web.staff import filled_in
from doorctl.web.staff.letter import DECISIONS, known_ref, letter, letter_context, objection_letter

SANDBOX: Final = "sandbox; default-src 'none'; style-src 'unsafe-inline'"
"""For a browser that opens the page all the same: no script, form, session or loaded file."""

MOST_LOOKS: Final = 50
"""How many of the last looks by staff the page shows; a letter has them all."""

PEOPLE: Final = "/people"


def people_pages(frame: Frame) -> tuple[BaseRoute, ...]:
    """Return the routes that show, hand out, erase and restrict what is held of a person."""
    may = Permission.SUBJECT_RIGHTS
    forms = {
        "find": _find,
        "export": _export_person,
        "restrict": _restrict,
        "unrestrict": _unrestrict,
        "object": _object,
        "decide": _decide,
        "erase": _erase,
    }
    return (
        frame.guarded(PEOPLE, _held, may),
        *(frame.form(f"{PEOPLE}/{name}", use, may, _again) for name, use in forms.items()),
    )


async def _find(request: PageRequest, form: Form) -> Response:
    named, why = _about(form)
    export = await request.call(subject.export, named, why)
    held: dict[str, Any] = {
        **letter_context(request.words, export, request.app.config.branch),
        "empty": export.empty,
        "ref": named.patron_ref or known_ref(export),
    }
    return await _held(request, form=form, held=held, most_looks=MOST_LOOKS)


async def _export_person(request: PageRequest, form: Form) -> Response:
    export = await request.call(subject.export, *_about(form))
    now = request.now
    if form.text("as") == "json":
        # As `doorctl subject export --json` writes it.
        branch, at = request.app.config.branch.id, now.isoformat(timespec="seconds")
        about = {"branch": branch, "at": at, **export.as_dict(request.words.zone)}
        text = json.dumps(about, ensure_ascii=False)
        file = request.file(f"doorctl-{now:%Y-%m-%d}.json", text, "application/json")
    elif form.text("as") == "objection":
        context = objection_letter(export, request.app, now)
        page = request.page("objection_letter.html", **context)
        file = request.file(f"indsigelse-{now:%Y-%m-%d}.html", bytes(page.body), "text/html")
    else:
        page = request.page("subject_letter.html", **letter(export, request.app, now))
        file = request.file(f"oplysninger-{now:%Y-%m-%d}.html", bytes(page.body), "text/html")
    file.headers["Content-Security-Policy"] = SANDBOX
    return file


async def _restrict(request: PageRequest, form: Form) -> Response:
    known = await request.call(subject.restrict, *_about(form))
    return request.done(PEOPLE, "restricted" if known else "not_yet")


async def _unrestrict(request: PageRequest, form: Form) -> Response:
    await request.call(subject.unrestrict, *_about(form))
    return request.done(PEOPLE, "unrestricted")


async def _object(request: PageRequest, form: Form) -> Response:
    known = await request.call(subject.object_to, *_about(form))
    return request.done(PEOPLE, "objected" if known else "not_yet")


async def _decide(request: PageRequest, form: Form) -> Response:
    named, why = _about(form)
    wanted = form.text("decision")
    if wanted not in DECISIONS:
        raise InputError("an objection is upheld or rejected")
    await request.call(subject.decide, named, Decision(wanted), why)
    return request.done(PEOPLE, wanted)


async def _erase(request: PageRequest, form: Form) -> Response:
    about = _about(form)
    if not form.ticked("understood"):
        raise InputError("tick that you understand; nothing was erased")
    done = await request.call(subject.erase, *about)
    # No redirect: what is left, and why, would have to stand in an address.
    return request.page("people_erased.html", 503 if done.left else None, done=done)


async def _held(request: PageRequest, **context: Any) -> Response:
    blank = {"form": BLANK, "held": None, "wrong": "", "again": ""}
    return request.page("people.html", **(blank | context))


async def _again(request: PageRequest, form: Form, error: InputError) -> Response:
    """Return only this action's form, with what is wrong; it asks for the person again."""
    action = request.path.rpartition("/")[2]
    return await _held(
        request,
        form=filled_in.shown_again(form),
        wrong=request.words.refusal(error),
        again="" if action == "find" else action,
    )


def _about(form: Form) -> tuple[Named, str]:
    """Return whom a form names, and why."""
    named, why = filled_in.named(form), form.text("why")
    if not why:
        raise InputError("write the reason, such as the number of the case")
    return named, why
