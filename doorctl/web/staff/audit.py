"""The page of the audit log: who did or looked at what."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date, datetime
from functools import partial
from typing import Final

from starlette.responses import Response
from starlette.routing import BaseRoute

from doorctl.accounts.account import Refusal
from doorctl.accounts.roles import Permission
from doorctl.core.alarms import KINDS as ALARMS
from doorctl.core.alarms import UNLISTED
from doorctl.core.dates import read_minute
from doorctl.core.errors import InputError
from doorctl.lookup.app import App
from doorctl.privacy.audit import SYNC, Action, Deed, Entry
from doorctl.privacy.statistics import moments
from doorctl.services.branch import as_dict, audit_entries, verify_audit
from doorctl.store.door_log import CARD_HEX_DIGITS
from doorctl.web.addresses import PLACES
from doorctl.web.forms import Form
from doorctl.web.frame import Frame, PageRequest
from doorctl.web.staff.accounts import PERMISSIONS, ROLES
from doorctl.web.staff.letter import DECISIONS, is_day, reason_in_words
from doorctl.web.staff.passes import KINDS
from doorctl.web.staff.statistics import read_period
from doorctl.web.words import MODES, WEEKDAYS, Words

AUDIT: Final = "/audit"

SHOWN: Final = 200

DETAILS: Mapping[str, str] = {
    **{
        name: name
        for name in (
            "account",
            "alarm",
            "bans",
            "day",
            "entries",
            "from",
            "how",
            "key",
            "kind",
            "made",
            "mode",
            "outcome",
            "page",
            "passes",
            "patrons",
            "role",
            "rows",
            "sessions",
            "since",
            "to",
            "until",
            "visits",
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
    "how": {how: how for how in ("made", "installed", "turned over")},
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

NOT_ACCOUNTS: Mapping[str, str] = {
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
    listed = [as_dict(entry) | {"at": entry.at.isoformat(timespec="seconds")} for entry in entries]
    text = json.dumps(listed, ensure_ascii=False)
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
        why=partial(reason_in_words, words),
        not_accounts=NOT_ACCOUNTS,
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
    if is_day(stored):
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


_HOURS: Final = re.compile(r"[0-9]{2}:[0-9]{2}|[a-z_]+")

_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}")
