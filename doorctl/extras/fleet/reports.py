"""What a branch says of itself: its parts, their bytes, and the branch's signature under each.

A report names neither a patron nor a visit nor a person of the staff, and repeats no alarm's own
words. It is believed by its signature, whoever carried it; and only the newest counts.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from msgspec import Meta, Struct

from doorctl.access.calendar import Mode
from doorctl.web.staff.branch_state import Lockdown

if TYPE_CHECKING:
    from doorctl.sync.signing import SigningKey, VerifyKey

SIGNED: Final = "doorctl-report/1"

MOST_BYTES: Final = 16_384
"""Of a report; one with every alarm there is has a quarter."""

AT, SIGNATURE = "Doorctl-At", "Doorctl-Signature"

EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
"""Between them an hour can be added to a time or taken from it."""

Text = Annotated[str, Meta(max_length=80)]
Word = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_.+-]{0,64}\Z")]
Count = Annotated[int, Meta(ge=0, le=10**9)]
Time = Annotated[datetime, Meta(tz=True)]


class StandingAlarm(Struct, frozen=True):
    """An alarm that stands at the branch, raised so often since then."""

    kind: Word
    since: Time
    count: Count
    acknowledged: bool


class Status(Struct, frozen=True, kw_only=True):
    """How a branch is; times are UTC.

    Args:
        door: what the door leaf is, as `doorctl status` has it; None where the door process does
            not answer.
        clock: what the door's clock is; likewise.
        version: the release that runs.
        mode, by_card, until, then, until_lifted: as `Course` of `web/staff/branch_state.py`.
        alarms: the most urgent first; None where they can't be read.
        faults: names of what is wrong, as the branch's own page has them.
        register_at: when the last push was applied; None where that is not known.
    """

    name: Text
    version: Word
    door: Word | None
    clock: Word | None
    lockdown: Lockdown
    mode: Mode | None
    by_card: bool
    until: Time | None
    then: Mode | None
    until_lifted: bool
    alarms: Annotated[tuple[StandingAlarm, ...], Meta(max_length=200)] | None
    faults: Annotated[tuple[Text, ...], Meta(max_length=20)]
    register_at: Time | None


class NightCounts(Struct, frozen=True):
    """A night that is over, from closing until six: rounded, None for a few."""

    since: Time
    until: Time
    granted: Count | None
    refused: Count | None
    events: Count


Part = Status | NightCounts

PARTS: Final[Mapping[str, type[Status | NightCounts]]] = {
    "status": Status,
    "night": NightCounts,
}
"""What a branch says, by the last word of its subject."""


@dataclass(frozen=True, slots=True)
class Report:
    """A part as a branch has signed it; `at` is UTC, by the branch's clock."""

    branch: str
    name: str
    at: datetime
    part: Part


def signed_text(branch: str, name: str, at: str, body: bytes) -> bytes:
    """Return what a branch signs: who says what, and when."""
    return f"{SIGNED}\n{branch}\n{name}\n{at}\n".encode() + body


def body_of_part(part: Part) -> bytes:
    """Return a part's bytes; the same for the same part."""
    return msgspec.json.encode(part)


def headers_of_report(
    branch: str, name: str, at: datetime, body: bytes, key: SigningKey
) -> dict[str, str]:
    """Return a report's headers; `at` is aware."""
    written = at.astimezone(UTC).isoformat()
    signature = base64.b64encode(key.sign(signed_text(branch, name, written, body))).decode()
    return {AT: written, SIGNATURE: signature}


def read_report(
    branch: str, name: str, headers: Mapping[str, str] | None, body: bytes, key: VerifyKey
) -> Report | None:
    """Return what a branch reports; None for what that branch has not signed, or is no report."""
    given, kind = dict(headers or {}), PARTS.get(name)
    written = given.get(AT, "")
    if kind is None or len(body) > MOST_BYTES or not written.isascii():
        return None
    try:
        signature = base64.b64decode(given.get(SIGNATURE, ""), validate=True)
        if not key.has_signed(signature, signed_text(branch, name, written, body)):
            return None
        at = datetime.fromisoformat(written)
        part = msgspec.json.decode(body, type=kind)
    except (binascii.Error, ValueError):
        return None
    if at.tzinfo is None or not EARLIEST <= at < LATEST:
        return None
    return Report(branch, name, at.astimezone(UTC), part)
