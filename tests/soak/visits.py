"""Visits at a real door, as many a minute as were asked for, each with its right end."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from doorctl.access.panel import Kind, PanelView
from doorctl.core.errors import DoorctlError
from doorctl.demo.door import Stage
from doorctl.rpc.door import PanelOverSocket
from tests.soak.people import PIN, Visitor

LIMIT_S = 20.0
ASKED = (Kind.CARD_READ, Kind.TYPING)


@dataclass
class Tally:
    """What became of the visits.

    `decided`: each decision's attempt, its reason, and when it was, in monotonic seconds; `wrong`:
    visits that ended otherwise than they had to; `lost`: visits that did not end.
    """

    decided: list[tuple[int, str, float]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    @property
    def reasons(self) -> Counter[str]:
        """How often each reason was given."""
        return Counter(reason for _, reason, _ in self.decided)


class Visits:
    """Has people swipe and type; one thread.

    `stage`: a running door; `people`: who comes next, for ever.
    """

    def __init__(self, stage: Stage, people: Iterator[Visitor]) -> None:
        self.tally = Tally()
        self._stage = stage
        self._people = people
        self._screen = PanelOverSocket(stage.directory / "door.sock")

    def one(self) -> None:
        """Have the next one in, or refused."""
        visitor = next(self._people)
        try:
            self._visit(visitor)
        except DoorctlError as error:
            self.tally.lost.append(f"{visitor.reason}: {error}")

    def replug(self, out_s: float) -> None:
        """Pull the reader out and put it back; return once the door has it again."""
        self._stage.reader.pull()
        self._stage.wait_for("reader", state="lost")
        time.sleep(out_s)
        self._stage.reader.put_in()
        self._stage.wait_for("reader", state="connected")

    def _visit(self, visitor: Visitor) -> None:
        before = self._screen.look(0)
        self._stage.skip()
        self._stage.reader.send(visitor.swipe)
        # Keys that come before the card is read would be nobody's: two lines have no order.
        attempt = self._asked(before).state.attempt
        self._stage.keypad.send(PIN.encode())
        line = self._stage.wait_for("decision", attempt=attempt)
        self.tally.decided.append((attempt, line["reason"], time.monotonic()))
        if line["reason"] != visitor.reason:
            self.tally.wrong.append(f"attempt {attempt}: {line['reason']}, not {visitor.reason}")

    def _asked(self, before: PanelView) -> PanelView:
        """Wait until somebody new is asked for the PIN."""
        view, limit_s = before, time.monotonic() + LIMIT_S
        while view.state.kind not in ASKED or view.state.attempt == before.state.attempt:
            if time.monotonic() > limit_s:
                raise DoorctlError("the swipe was not heard")
            view = self._screen.look(view.seq)
        return view
