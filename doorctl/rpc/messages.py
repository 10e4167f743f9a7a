"""The two lines of a question and its answer on a Unix socket: their form and their limits.

One JSON line asks, one JSON line answers. The names of the fields are fixed, for processes of two
releases meet during an upgrade.

The process that answers is the strict one: it refuses a question with an argument that it does not
know, for without it it would do something else than it was asked for. The process that asks is the
lenient one: what it does not know in an answer, such as a later release's figure, it leaves out. So
a release may add to its answers freely; a new argument is refused by the release before it, which
then has changed nothing.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import msgspec

from doorctl.core.errors import InputError

LINE_LIMIT = 16_384
"""Longest question in bytes; a ban with a letter of a page takes half of it."""

ANSWER_LIMIT = 16 * 1024 * 1024
"""Longest answer in bytes; all that is held of one person is far less."""

QUESTION_LIMIT_S = 2.0
"""A caller that has not asked by then is cut off."""

REFUSED, ERROR = "refused", "error"
"""The keys of an answer that is none: the caller's mistake, and the answering process's failure."""

CREDENTIALS = struct.Struct("iII")
"""``struct ucred``: process, real user and group of the sender of a message; unix(7)."""

_VALUES: Mapping[str, Any] = {"day": date, "time": datetime}
"""The types of an `InputError`'s values of these names."""

Answer = Mapping[str, Any]


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A question as it travels: its name and its arguments, which are shown nowhere.

    In the answering process, `asker` is the user who asks and None for root, whatever the line
    said.
    """

    ask: str
    about: Mapping[str, Any] = msgspec.field(default_factory=dict)
    asker: str | None = None

    def signed(self, name: str) -> str:
        """Return `name` for the record, with the user who asks: web could make a name up."""
        return name if self.asker in {None, name} else f"{self.asker}, who names {name}"

    def __repr__(self) -> str:
        return f"Line({self.ask})"


def sent_refusal(refusal: InputError) -> Answer:
    """Return the answer that refuses a question."""
    more = {"text": refusal.text, "values": refusal.values} if refusal.values else {}
    return {REFUSED: str(refusal), **more}


def received_refusal(answer: Answer) -> InputError:
    """Return a refusal as it was raised in the other process.

    The sentence stands as it was sent, for no process fills in another one's text; only pages use
    the values, and show the sentence without them.
    """
    refusal = InputError(str(answer[REFUSED]))
    with contextlib.suppress(msgspec.ValidationError, KeyError):
        sent = msgspec.convert(answer["values"], dict[str, int | str])
        values = {
            name: msgspec.convert(value, _VALUES.get(name, int | str))
            for name, value in sent.items()
        }
        refusal.text, refusal.values = msgspec.convert(answer["text"], str), values
    return refusal
