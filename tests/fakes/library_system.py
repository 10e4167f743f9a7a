"""A library system that is a dict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from doorctl.access.messages import LibraryAnswer, LibraryReply
from doorctl.core.errors import LibrarySystemError
from doorctl.core.masked import Identifier, Pin
from tests.fakes.library import registered


@dataclass
class FakeLibrarySystem:
    """Knows PINs and rows by identifier; implements `LibrarySystem`.

    Args:
        pins: the right PIN of each.
        rows: what it says of each; a resident without a birthday where nothing stands.
        locked: whom it has locked out.
        failure: raised instead of an answer.
        meanwhile: called while it is being asked.
        asked: each question.
    """

    pins: dict[Identifier, Pin] = field(default_factory=dict)
    rows: dict[Identifier, LibraryReply] = field(default_factory=dict)
    locked: set[Identifier] = field(default_factory=set)
    failure: LibrarySystemError | None = None
    meanwhile: Callable[[], None] | None = None
    asked: list[Identifier] = field(default_factory=list)

    def ask(self, identifier: Identifier, pin: Pin, *, row_wanted: bool) -> LibraryReply:
        """Answer from the dicts."""
        if not pin.reveal():
            return LibraryReply(LibraryAnswer.NO)
        self.asked.append(identifier)
        if self.meanwhile is not None:
            self.meanwhile()
        if self.failure is not None:
            raise self.failure
        if identifier in self.locked:
            return LibraryReply(LibraryAnswer.WAITS)
        if self.pins.get(identifier) != pin:
            return LibraryReply(LibraryAnswer.NO)
        reply = self.rows.get(identifier) or registered(f"fake-{len(self.asked)}", None)
        return reply if row_wanted else LibraryReply(LibraryAnswer.YES)
