"""Questions about what is kept of people: the purge, holds, and the erasure of a person."""

from __future__ import annotations

from typing import Any

import msgspec

from doorctl.core.ports import Unshown
from doorctl.privacy.erasure import PartErased
from doorctl.privacy.holds import Hold
from doorctl.privacy.subject import Subject
from doorctl.rpc.question import Askers, Done, Question

PURGE_LIMIT_S = 60.0
PROVE_LIMIT_S = 200.0
"""Longest wait for a proof: three purges, and a search that is given up after 120 s."""

HOLD_LIMIT_S = 30.0
"""Longest wait for the door; a hold takes milliseconds, a purge before it longer."""

ERASE_LIMIT_S = 30.0
"""Longest wait for an owner; rewriting a register of 100 000 patrons takes seconds on a Pi."""

SentReport = dict[str, Any]
"""The report of a purge, as it is printed and signed."""


class Purge(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A purge is wanted.

    Attributes:
        prove: search the files afterwards, and keep a signed report.
        believe: the wall clock is right, for the caller answers for it.
    """

    prove: bool = False
    believe: bool = False


class LiftHold(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A hold is to end, by its number."""

    number: int
    by: str = ""


class SubjectRequest(Unshown, frozen=True):
    """A question to a database's writer about a person.

    `by` is the caller's login, on the caller's own word: the socket is for its owner and root.
    `epoch` is the push that the register holds; `why`, for the audit log, may be empty.
    """

    row_keys: list[bytes]
    patron_ref: str | None
    epoch: int
    by: str
    why: str = ""

    @classmethod
    def about(cls, subject: Subject, by: str, epoch: int, why: str = "") -> SubjectRequest:
        """Return the question about a person."""
        return cls(sorted(subject.row_keys), subject.patron_ref, epoch, by, why)

    @property
    def subject(self) -> Subject:
        """The person."""
        return Subject(frozenset(self.row_keys), self.patron_ref)


Erase = Question[SubjectRequest, Done[PartErased]]

_TOO_LONG = "the person has too many cards for one question; name them one by one"

PURGE = Question("purge", Purge, SentReport, "door", PURGE_LIMIT_S)
ADD_HOLD = Question("hold_add", Hold, Hold, "door", HOLD_LIMIT_S)
LIFT_HOLD = Question("hold_lift", LiftHold, Hold, "door", HOLD_LIMIT_S)
ERASE_VISITS: Erase = Question(
    "subject_erase_visits",
    SubjectRequest,
    Done[PartErased],
    "door",
    ERASE_LIMIT_S,
    too_long=_TOO_LONG,
)
ERASE_PATRON: Erase = Question(
    "subject_erase_patron",
    SubjectRequest,
    Done[PartErased],
    "web",
    ERASE_LIMIT_S,
    Askers.OWN,
    too_long=_TOO_LONG,
)
ERASE_RIGHTS: Erase = Question(
    "subject_erase_rights",
    SubjectRequest,
    Done[PartErased],
    "web",
    ERASE_LIMIT_S,
    Askers.OWN,
    too_long=_TOO_LONG,
)
