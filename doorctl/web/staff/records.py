"""The pages of the audit log, of incident holds, and of people's rights."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from functools import partial
from itertools import groupby
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import BaseRoute

from doorctl.access.calendar import ONE_DAY
from doorctl.access.patron import Reason
from doorctl.access.rights import ALL_BRANCHES
from doorctl.accounts.account import Refusal
from doorctl.accounts.roles import Permission
from doorctl.config.tables import Branch
from doorctl.core.alarms import KINDS as ALARMS
from doorctl.core.alarms import UNLISTED
from doorctl.core.dates import read_minute
from doorctl.core.errors import InputError
from doorctl.core.language import DANISH, ENGLISH, own
from doorctl.lookup.app import App
from doorctl.lookup.configured import zone
from doorctl.privacy.audit import SYNC, Action, Deed, Entry
from doorctl.privacy.export import OF_LETTER, Export, HeldRow, Lookup, value
from doorctl.privacy.holds import LONGEST, LONGEST_TEXT, Hold
from doorctl.privacy.statistics import moments
from doorctl.privacy.subject import Decision
from doorctl.privacy.tables import CARD, PATRON, Column, Shown, Table
from doorctl.services import purging, subject
from doorctl.services.branch import as_dict, audit_entries, verify_audit
from doorctl.services.subject import Named
from doorctl.store.door_log import CARD_HEX_DIGITS
from doorctl.store.tables import ATTEMPTS, OBJECTIONS, from_ms
from doorctl.web.addresses import PLACES
from doorctl.web.controller import basis, processors
from doorctl.web.forms import BLANK, Form
from doorctl.web.frame import Frame, PageRequest
from doorctl.web.staff import filled_in
from doorctl.web.staff.accounts import PERMISSIONS, ROLES
from doorctl.web.staff.log import REASONS, row
from doorctl.web.staff.rights import KINDS
from doorctl.web.staff.statistics import read_period
from doorctl.web.staff.why import sentence
from doorctl.web.words import MODES, WEEKDAYS, Words

AUDIT: Final = "/audit"
SHOWN: Final = 200

DETAILS: Mapping[str, str] = {
    **{
        name: name
        for name in (
            *("account", "alarm", "bans", "day", "entries", "from", "key", "kind", "made", "mode"),
            *("outcome", "page", "passes", "patrons", "role", "rows", "sessions", "since", "to"),
            *("until", "visits"),
        )
    },
    "applied": "lines taken",
    "cells": "counts",
    "cleared": "exceptions taken back",
    "codes_left": "recovery code used, left",
    "decision": "decision",
    "deleted": "visits deleted",
    "epoch": "push no.",
    "full": "whole register",
    "least": "at least",
    "letter": "letter about ban no.",
    "left_out": "not put on record before",
    "needs": "needs the right",
    "number": "no.",
    "recipients": "keys that open it",
    "signed_in": "signed in",
    "wait_s": "wait in seconds",
    "why": "because",
    **{day.lower(): day for day in WEEKDAYS},
}
"""What a deed's details are called, in English; `from` to `until` are times of a hold."""

DECISIONS: Mapping[int | str, str] = {
    Decision.PENDING.value: "not decided",
    Decision.UPHELD.value: "upheld",
    Decision.REJECTED.value: "rejected",
}

VALUES: Mapping[str, Mapping[int | str, str]] = {
    "mode": {mode.value: text for mode, text in MODES.items() if mode is not None},
    "kind": {
        **{kind.value: text for kind, text in KINDS.items()},
        "snapshot": "the whole register",
        "changes": "what has changed",
    },
    "decision": DECISIONS,
    "role": {role.value: name for role, (name, _) in ROLES.items()},
    "needs": {permission.value: text for permission, text in PERMISSIONS.items()},
    "page": {place.path: place.name for place in PLACES},
    "full": {0: "no", 1: "yes"},
    "outcome": {"refused": "refused", "unknown": "failed, or not known"},
    "why": {
        Refusal.WRONG.value: "wrong name or password",
        Refusal.DISABLED.value: "the account is disabled",
        Refusal.NO_ROLE.value: "the municipality gives no role",
        Refusal.NAME_TAKEN.value: "the name belongs to a local account",
    },
}
"""What the values of some details are called, in English."""

SIGN_INS: Final = frozenset({Action.SIGNED_IN, Action.SIGNED_OUT})
"""They would hide all others, so the page shows them only if asked."""

NOBODIES: Mapping[str, str] = {
    SYNC: "The library system",
    "(not signed in)": "(not signed in)",
    "(identity provider)": "(the municipality)",
}
"""What the log holds in place of an account, and the page's name for it."""


def audit_pages(frame: Frame) -> tuple[BaseRoute, ...]:
    """Return the routes that show, check and save the audit log."""
    guarded, see, post = frame.guarded, Permission.SEE_AUDIT, ("POST",)
    return (
        guarded(AUDIT, _audit, see),
        guarded(f"{AUDIT}/verify", _verify, see, post),
        guarded(f"{AUDIT}/export", _export_audit, see, post),
    )


async def _audit(request: PageRequest) -> Response:
    try:
        return _shown_audit(request, await _entries(request, request.queried))
    except InputError as error:
        return _shown_audit(request, (), request.words.refusal(error))


async def _verify(request: PageRequest) -> Response:
    verdict = await request.call(verify_audit)
    return request.page("audit_verdict.html", verdict=verdict)


async def _export_audit(request: PageRequest) -> Response:
    entries = await _entries(request, await request.form())
    told = [as_dict(entry) | {"at": entry.at.isoformat(timespec="seconds")} for entry in entries]
    text = json.dumps(told, ensure_ascii=False)
    return request.file("doorctl-audit.json", text, "application/json")


async def _entries(request: PageRequest, form: Form) -> tuple[Entry, ...]:
    period, account = read_period(form, request.today), form.text("account")
    action = {member.value for member in Action} & {form.text("action")}
    since, until = moments(*period, request.words.zone)

    def fitting(app: App) -> tuple[Entry, ...]:
        return tuple(
            entry
            for entry in reversed(audit_entries(app, since))
            if (until is None or entry.at < until)
            and account in ("", entry.by)
            and (not action or entry.deed.action.value in action)
        )

    return await request.call(fitting)


def _shown_audit(request: PageRequest, entries: tuple[Entry, ...], wrong: str = "") -> Response:
    words = request.words
    deeds = ((action.value, words.say(action.words)) for action in Action)
    fields = ("since", "until", "account", "action", "sign_ins")
    chosen = {name: request.query(name) for name in fields}
    hides = not chosen["action"] and not chosen["sign_ins"]
    shown = [one for one in entries if not (hides and one.deed.action in SIGN_INS)]
    return request.page(
        "audit.html",
        wrong=wrong,
        entries=shown[:SHOWN],
        hidden=len(entries) - len(shown),
        more=max(0, len(shown) - SHOWN),
        facts=partial(_facts, words),
        why=partial(why, words),
        nobodies=NOBODIES,
        choices=[("", words.say("All")), *sorted(deeds, key=lambda choice: choice[1])],
        digits=CARD_HEX_DIGITS,
        chosen=chosen,
    )


def _facts(words: Words, deed: Deed) -> list[str]:
    """Return a deed's details in words, with times of the branch's own."""
    week = ["", *map(str.lower, WEEKDAYS)]
    ordered = sorted(deed.details, key=lambda name: (name in week and week.index(name), name))
    return [
        f"{words.say(DETAILS.get(name, name))}: {_detail(words, name, deed.details[name])}"
        for name in ordered
    ]


def _detail(words: Words, name: str, stored: int | str) -> str:
    if (said := VALUES.get(name, {}).get(stored)) is not None:
        return words.say(said)
    if name == "alarm":
        return words.alarm(ALARMS.get(str(stored), ALARMS[UNLISTED]).means)
    if name.capitalize() in WEEKDAYS:
        return _HOURS.sub(lambda part: _part_of_hours(words, part[0]), str(stored))
    if _is_day(stored):
        return words.short_day(date.fromisoformat(str(stored)))
    if _TIME.match(str(stored)):
        at = datetime.fromisoformat(str(stored))
        return words.moment(at if at.tzinfo else at.replace(tzinfo=words.zone))
    return str(stored)


def _part_of_hours(words: Words, part: str) -> str:
    """Put a time or a mode of :func:`hours_of` into words."""
    if part[0].isdigit():
        return words.time_of_day(read_minute(part))
    return words.say(VALUES["mode"].get(part, part)).lower()


# The page of incident holds: what the purge spares, for which case, and until when.

HOLDS: Final = "/holds"
AROUND: Final = timedelta(minutes=15)
"""A form offers to hold so much time before and after an attempt."""

USUAL_DAYS: Final = 60

HOLD_ROWS: Final = 200
"""Attempts on one page; a hold of a busy month has more than ten thousand."""


def hold_pages(frame: Frame) -> tuple[BaseRoute, ...]:
    """Return the routes that show holds, add and lift them, and show a hold's attempts."""
    guarded, may, post = frame.guarded, Permission.HOLD, ("POST",)
    return (
        guarded(HOLDS, _holds, may),
        frame.form(HOLDS, filled_in.once(_add_hold), may, _holds),
        guarded(f"{HOLDS}/{{number}}", _visits, may),
        guarded(f"{HOLDS}/{{number}}/lift", _lift_hold, may, post),
    )


async def _add_hold(request: PageRequest, form: Form) -> Response:
    await request.call(purging.add_hold, _wanted(form, request.words, request.today, request.by))
    return request.done(HOLDS, "added")


async def _lift_hold(request: PageRequest) -> Response:
    await request.call(purging.lift_hold, filled_in.row_number(request))
    return request.done(HOLDS, "lifted")


async def _visits(request: PageRequest) -> Response:
    """Show one page of a hold's attempts, oldest first, and where it is among all."""
    number = filled_in.row_number(request)
    visits = (await request.call(purging.show_hold, number)).visits
    pages = max(1, -(-len(visits) // HOLD_ROWS))
    page = 1
    with suppress(InputError):
        page = min(max(1, filled_in.number(request.query("page"))), pages)
    begins = (page - 1) * HOLD_ROWS
    return request.page(
        "holds_visits.html",
        number=number,
        rows=[row(request, visit) for visit in visits[begins : begins + HOLD_ROWS]],
        page=page,
        first=begins + 1,
        every=len(visits),
        is_last=page == pages,
    )


async def _holds(
    request: PageRequest, form: Form | None = None, error: InputError | None = None
) -> Response:
    holds, moment = await request.call(purging.stored_holds)
    return request.page(
        "holds.html",
        holds=[(hold, hold.in_force(moment)) for hold in holds],
        form=form or _offered(request),
        wrong=request.words.refusal(error),
        longest=LONGEST_TEXT,
        moment=timedelta(microseconds=1),
    )


def _offered(request: PageRequest) -> Form:
    """Return the form's first values: the window around an attempt, if any, and the usual end."""
    words, starts, ends = request.words, "", ""
    with suppress(InputError):
        if around := filled_in.moment(request.queried, "around", request.today):
            at = around.replace(tzinfo=words.zone)
            starts, ends = words.moment(at - AROUND), words.moment(min(at + AROUND, request.now))
    until = words.short_day(request.today + timedelta(days=USUAL_DAYS))
    return Form({"from": (starts,), "to": (ends,), "until": (until,)})


def _wanted(form: Form, words: Words, today: date, by: str) -> Hold:
    starts, ends = (filled_in.moment(form, end, today, past=True) for end in ("from", "to"))
    last = filled_in.day(form, "until", today)
    if starts is None or ends is None:
        raise InputError("say from when and to when attempts are to be held")
    if last is None:
        raise InputError("say which day is the hold's last")
    return Hold(
        since=starts.replace(tzinfo=words.zone),
        to=ends.replace(tzinfo=words.zone),
        case=form.text("case"),
        reason=form.text("reason"),
        until=datetime.combine(last + ONE_DAY, time(), words.zone),
        by=by,
    )


# The page of people's rights: it shows, hands out, erases and restricts what is held of a person.
#
# Staff name a person by a card, a CPR number or the library system's number, always in a form and
# never in an address. The page passes on only the library system's number; where that is not
# known, staff give the card again.

SANDBOX: Final = "sandbox; default-src 'none'; style-src 'unsafe-inline'"
"""For a browser that opens the page all the same: no script, form, session or loaded file."""


# What is held of a person, in words for the page and for the letter; it is escaped later.

MOST_LOOKS: Final = 50
"""How many of the last looks by staff the page shows; a letter has them all."""

BLOCKS: Mapping[str, str] = {
    "O": "the card is reported stolen",
    "D": "deceased",
    "S": "blocked from self-service",
    "F": "a longer exclusion from lending",
    "U": "an exclusion from lending",
    "E": "owes more than is allowed",
    "W": "registered on the website, not yet seen",
}
"""The library system's codes of blocks, in English."""

LISTS: Final = frozenset(
    {Action.VISITS_LISTED.value, Action.BANS_LISTED.value, Action.PASSES_LISTED.value}
)
"""Looks at lists."""

OUTCOMES: Mapping[Decision, str] = {
    Decision.PENDING: "Your data are kept and used for nothing until the objection is decided: the "
    "door does not let you in meanwhile.",
    Decision.UPHELD: "Your objection is upheld: the data are used for nothing any more, the door "
    "does not let you in, and the data are erased.",
    Decision.REJECTED: "Your objection is rejected: the data are used again, and the door lets you "
    "in as before.",
}

TECHNICAL: Final = frozenset(
    {
        CARD,
        "pin_check",
        "twice",
        "epoch",
        "boot_id",
        "boot_ms",
        "clock",
        "by",
        "days",
        "attempt",
        "restricts",
    }
)
"""Columns that stand in the annex alone."""

NOTHING: Final = (None, "", "[]")
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_HOURS: Final = re.compile(r"[0-9]{2}:[0-9]{2}|[a-z_]+")
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}")

Case = tuple[str, list[str], list[list[str]]]
"""A table's name, its columns and its rows."""


def told(words: Words, export: Export, branch: Branch) -> dict[str, Any]:
    """Return what is held of a person in words: visits, other cases, looks, and how many."""
    visits = [row.by_column for row in export.rows if row.table is ATTEMPTS]
    times = [words.moment(from_ms(visit["at_ms"])) for visit in visits]
    called = {ALL_BRANCHES: words.say("all libraries of the municipality"), branch.id: branch.name}
    called |= {code: f"{words.say(text)} ({code})" for code, text in BLOCKS.items()}
    called |= {kind.value: words.say(text) for kind, text in KINDS.items()}
    called |= {str(name): words.say(text) for name, text in DECISIONS.items()}
    counts = Counter(row.table.name for row in export.rows)
    return {
        "visits": list(zip(times, (_outcome(words, visit) for visit in visits), strict=True)),
        "let_in": sum(visit["verdict"] == "granted" for visit in visits),
        "cases": [
            _case(words, called, *case) for case in _tables(export) if case[0] is not ATTEMPTS
        ],
        "looks": [
            (words.moment(at.at), words.say(Action(at.what).words), why(words, at.why))
            for at in export.lookups
            if not _is_listing(at)
        ],
        "lists": _lists(words, export),
        "listed": sum(map(_is_listing, export.lookups)),
        "objection": objection["decision"] if (objection := _objection(export)) else "",
        "stones": export.tombstones,
        "counts": counts,
    }


def _lists(words: Words, export: Export) -> list[tuple[str, str, str]]:
    """Return how often staff looked at each list in which the person stood, by the day.

    One afternoon's page of the door log is a look at everybody on it each time it is loaded.
    """
    days = Counter(
        (at.at.astimezone(words.zone).date(), at.what) for at in export.lookups if _is_listing(at)
    )
    return [
        (
            words.short_day(day),
            words.say(Action(what).words),
            words.count("{n} time", "{n} times", times),
        )
        for (day, what), times in sorted(days.items())
    ]


def _is_listing(look: Lookup) -> bool:
    """Tell whether a look was at a list with the person among others, for no reason of its own."""
    return look.what in LISTS and not look.why


def _objection(export: Export) -> dict[str, Any] | None:
    """Return the person's last objection by its columns."""
    found = [row.by_column for row in export.rows if row.table is OBJECTIONS]
    return found[-1] if found else None


def objection_words(words: Words, decision: str) -> str:
    """Return what came of an objection, as the person reads it."""
    return words.say(OUTCOMES[Decision(decision)])


def objection_letter(export: Export, app: App, at: datetime, first: str = DANISH) -> dict[str, Any]:
    """Return what the letter about a person's last objection takes; InputError without one."""
    if (objection := _objection(export)) is None:
        raise InputError("the person has no objection on record")
    decided = objection["decided_ms"]
    return {
        **letter(export, app, at, first),
        "objection": objection,
        "made": from_ms(objection["made_ms"]),
        "decided": None if decided is None else from_ms(decided),
    }


def annex(words: Words, export: Export) -> list[Case]:
    """Return every value of every row as it is stored, but for the names of staff."""

    def shown(column: Column, stored: Any) -> str:
        if column.shown is Shown.OF_STAFF:
            return words.say("(a member of staff)")
        read = value(column, stored, words.zone)
        return "" if read is None else str(read)

    return [
        (
            _name(words, table),
            [_name(words, column) for column in table.columns],
            [list(map(shown, table.columns, row.values)) for row in rows],
        )
        for table, rows in _tables(export)
    ]


def why(words: Words, reason: str) -> str:
    """Return a reason on the audit log; the program's own one is put into words."""
    letter = OF_LETTER.fullmatch(reason)
    return words.say("Letter about ban {number}", number=letter[1]) if letter else reason


def letter(export: Export, app: App, at: datetime, first: str = DANISH) -> dict[str, Any]:
    """Return what the template of the letter to a person takes; `first` is its first language."""
    spoken = [
        Words(own(code), zone(app.config)) for code in (first, *({DANISH, ENGLISH} - {first}))
    ]
    return {
        "texts": [(words, told(words, export, app.config.branch)) for words in spoken],
        "annex": annex(spoken[0], export),
        "config": app.config,
        "basis": basis,
        "objection_words": objection_words,
        "processors": processors,
        "held_days": LONGEST.days,
        "at": at,
    }


def _tables(export: Export) -> list[tuple[Table, list[HeldRow]]]:
    return [(table, list(rows)) for table, rows in groupby(export.rows, key=lambda row: row.table)]


def _case(words: Words, called: Mapping[str, str], table: Table, rows: list[HeldRow]) -> Case:
    kept = [
        (at, column)
        for at, column in enumerate(table.columns)
        if column.name not in TECHNICAL and any(row.values[at] not in NOTHING for row in rows)
    ]
    columns = [_name(words, column) for _, column in kept]
    told = [[_value(words, called, column, row.values[at]) for at, column in kept] for row in rows]
    return _name(words, table), columns, told


def _outcome(words: Words, visit: dict[str, Any]) -> str:
    if visit["verdict"] == "granted":
        return words.say("The door was unlocked.")
    known = visit["reason"] in REASONS
    return sentence(words, Reason(visit["reason"])) if known else words.say("It was not finished.")


def known_ref(export: Export) -> str:
    """Return the person's number in the library system; empty where no row has one."""
    numbers = (row.by_column.get(PATRON) for row in export.rows)
    return next(filter(None, numbers), "")


_SHOWN_AS: Mapping[Shown, Callable[[Words, Any], str]] = {
    Shown.FLAG: lambda words, flag: words.say("yes") if flag else words.say("no"),
    Shown.TIME: lambda words, ms: words.moment(from_ms(ms)),
    Shown.MINUTE: Words.time_of_day,
    Shown.SPANS: lambda words, spans: ", ".join(
        words.hours_of_day(*map(int, span.split("-"))) for span in spans.split()
    ),
    Shown.WEEKDAYS: lambda words, digits: ", ".join(
        words.say(WEEKDAYS[int(digit)]) for digit in digits
    ),
}


def _value(words: Words, called: Mapping[str, str], column: Column, stored: Any) -> str:
    if stored in NOTHING:
        return words.say("(none)")
    if column.shown in _SHOWN_AS:
        return _SHOWN_AS[column.shown](words, stored)
    if column.name in {"blocks", "branches", "tags"}:
        return ", ".join(called.get(name, name) for name in json.loads(stored))
    if column.name in {"kind", "decision"}:
        return called.get(stored, stored)
    return words.short_day(date.fromisoformat(stored)) if _is_day(stored) else str(stored)


def _is_day(stored: Any) -> bool:
    return isinstance(stored, str) and _DAY.fullmatch(stored) is not None


def _name(words: Words, named: Table | Column) -> str:
    return named.danish if words.language.code == DANISH else named.english


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
        **told(request.words, export, request.app.config.branch),
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
        told = objection_letter(export, request.app, now)
        page = request.page("objection_letter.html", **told)
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
