"""The page of who did or looked at what, when and why; reading it is on record too."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from doorctl.accounts.account import Permission
from doorctl.core.errors import InputError
from doorctl.privacy.audit import SYNC, Action, Entry
from doorctl.services import records
from doorctl.services.app import App
from doorctl.web.frame.frame import Frame, PageRequest
from doorctl.web.staff.statistics import read_period

PAGE: Final = "/audit"
SHOWN: Final = 200
CARD_HEX_DIGITS: Final = 8

DEEDS: Mapping[Action, str] = MappingProxyType(
    {
        Action.VISITS_LISTED: "Listed the door log",
        Action.PATRON_EXPLAINED: "Asked why a card is refused",
        Action.CARD_UNLOCKED: "Forgot a card's wrong PINs",
        Action.PATRONS_LOADED: "Loaded patrons from a file",
        Action.PATRONS_RENUMBERED: "Gave the patron register a lower number",
        Action.KEY_ADOPTED: "Took a new installation key into use",
        Action.PUSH_APPLIED: "Took a push of patrons",
        Action.PUSH_APPROVED: "Approved a push of patrons",
        Action.BRANCH_ROLLED_BACK: "Heard that the branch's records are an older copy",
        Action.BAN_ADDED: "Banned somebody",
        Action.BAN_LIFTED: "Lifted a ban",
        Action.BANS_LISTED: "Listed the bans",
        Action.PASS_ISSUED: "Issued a pass",
        Action.PASS_REVOKED: "Took a pass back",
        Action.PASSES_LISTED: "Listed the passes",
        Action.MODE_SET: "Set a mode by hand",
        Action.MODE_ENDED: "Ended the mode that was set by hand",
        Action.CALENDAR_CHANGED: "Changed the calendar",
        Action.OPENED_ONCE: "Opened the door once",
        Action.CLOCK_TRUSTED: "Said that the clock is right",
        Action.PURGE_RUN: "Ran a purge",
        Action.BACKUP_MADE: "Copied the branch's records",
        Action.HOLD_ADDED: "Added an incident hold",
        Action.HOLD_LIFTED: "Lifted an incident hold",
        Action.HOLD_SHOWN: "Looked at an incident hold",
        Action.SUBJECT_EXPORTED: "Exported what is held of a person",
        Action.SUBJECT_ERASED: "Erased a person",
        Action.SUBJECT_RESTRICTED: "Restricted a person's data",
        Action.SUBJECT_UNRESTRICTED: "Lifted the restriction of a person's data",
        Action.STATISTICS_READ: "Read the statistics",
        Action.AUDIT_READ: "Read the audit log",
        Action.CARD_SEARCHED: "Searched the door log for a card",
        Action.VISIT_REVEALED: "Looked up who a visit was",
        Action.VISITS_EXPORTED: "Exported the door log",
        Action.ALARM_ACKNOWLEDGED: "Acknowledged an alarm",
        Action.SIGNED_IN: "Signed in",
        Action.SIGN_IN_REFUSED: "A sign-in was refused",
        Action.SIGNED_OUT: "Signed out",
        Action.PAGE_REFUSED: "Asked for what the role may not do",
        Action.ACCOUNT_ADDED: "Added an account",
        Action.ACCOUNT_CHANGED: "Changed an account",
        Action.ACCOUNT_DISABLED: "Disabled an account",
        Action.ACCOUNT_ENABLED: "Enabled an account",
        Action.ACCOUNT_PASSWORD_SET: "Set an account's password",
        Action.ACCOUNT_FACTOR_SET: "Gave their account a second factor",
        Action.ACCOUNT_FACTOR_RESET: "Reset an account's second factor",
    }
)
"""Each deed in words, in English."""

DETAILS: Mapping[str, str] = MappingProxyType(
    {
        "account": "account",
        "alarm": "alarm",
        "applied": "lines taken",
        "bans": "bans",
        "cells": "counts",
        "cleared": "exceptions taken back",
        "codes_left": "recovery code used, left",
        "day": "day",
        "deleted": "visits deleted",
        "entries": "entries",
        "epoch": "push no.",
        "from": "from",
        "full": "whole register",
        "key": "key",
        "kind": "kind",
        "left_out": "not put on record before",
        "mode": "mode",
        "needs": "needs the right",
        "number": "no.",
        "page": "page",
        "passes": "passes",
        "patrons": "patrons",
        "role": "role",
        "rows": "rows deleted",
        "sessions": "sessions",
        "signed_in": "signed in",
        "since": "since",
        "to": "to",
        "until": "until",
        "visits": "visits",
        "wait_s": "wait in seconds",
        "why": "because",
    }
)
"""What a deed's details are called, in English; `from` to `until` are times of a hold."""

NOBODIES: Mapping[str, str] = MappingProxyType(
    {
        SYNC: "The library system",
        "(not signed in)": "(not signed in)",
        "(identity provider)": "(the municipality)",
    }
)
"""What the log holds in place of an account, and the page's name for it."""


class AuditPages:
    """Show the audit log."""

    def __init__(self, frame: Frame, app: App) -> None:
        self._frame = frame
        self._app = app

    def routes(self) -> tuple[BaseRoute, ...]:
        """Return the routes of these pages."""
        guarded, see, post = self._frame.guarded, Permission.SEE_AUDIT, ("POST",)
        return (
            guarded(PAGE, self._page, see),
            guarded(f"{PAGE}/verify", self._verify, see, post),
            guarded(f"{PAGE}/export", self._export, see, post),
        )

    async def _page(self, request: PageRequest) -> Response:
        try:
            return self._shown(request, await self._entries(request, request.query))
        except InputError as error:
            return self._shown(request, (), request.words.refusal(error))

    async def _verify(self, request: PageRequest) -> Response:
        verdict = await request.aside(records.verify, self._app)
        return request.page("audit_verdict.html", verdict=verdict)

    async def _export(self, request: PageRequest) -> Response:
        form = await request.form()
        entries = await self._entries(request, form.text)
        headers = {"Content-Disposition": 'attachment; filename="doorctl-audit.json"'}
        return JSONResponse([_as_dict(entry) for entry in entries], headers=headers)

    async def _entries(self, request: PageRequest, text: Any) -> tuple[Entry, ...]:
        period, account = read_period(text("since"), text("until")), text("account")
        action = {member.value for member in Action} & {text("action")}
        since, until = period.starts(request.words.zone), period.ends(request.words.zone)

        def fitting() -> tuple[Entry, ...]:
            return tuple(
                entry
                for entry in reversed(records.entries(self._app, since, by=request.by))
                if (until is None or entry.at < until)
                and account in ("", entry.by)
                and (not action or entry.deed.action.value in action)
            )

        return await request.aside(fitting)

    def _shown(self, request: PageRequest, entries: tuple[Entry, ...], wrong: str = "") -> Response:
        words = request.words
        deeds = ((action.value, words.say(text)) for action, text in DEEDS.items())
        return request.page(
            "audit.html",
            422 if wrong else 200,
            wrong=wrong,
            entries=entries[:SHOWN],
            more=max(0, len(entries) - SHOWN),
            deeds=DEEDS,
            details=DETAILS,
            nobodies=NOBODIES,
            choices=[("", words.say("All")), *sorted(deeds, key=lambda choice: choice[1])],
            digits=CARD_HEX_DIGITS,
            chosen={name: request.query(name) for name in ("since", "until", "account", "action")},
        )


def _as_dict(entry: Entry) -> dict[str, Any]:
    deed = entry.deed
    return {
        "number": entry.number,
        "at": entry.at.isoformat(timespec="seconds"),
        "clock": entry.clock.value,
        "by": entry.by,
        "action": deed.action.value,
        "cards": [card.hex()[:CARD_HEX_DIGITS] for card in deed.cards],
        "patron_ref": deed.patron_ref,
        "why": deed.why,
        "details": dict(deed.details),
    }
