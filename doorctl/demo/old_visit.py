"""A visit of 31 days ago: put into the door log before the evening, looked for after it."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from doorctl.access.reasons import Reason
from doorctl.demo.stage import EVER, Line, Stage
from doorctl.moments import BootTime, ClockState
from doorctl.ports import Stamped
from doorctl.store.visits import VisitStore
from doorctl.store.visits_reader import CARD_HEX_DIGITS, VisitHistory

AGE = timedelta(days=31)

ROW_KEY = b"demo-old-visitor"
"""16 bytes that no HMAC will ever give, so that each trace of them is this visit's."""


@dataclass(frozen=True, slots=True)
class Traces:
    """Where the old visit is still to be found.

    Args:
        in_rows: a plain read of the database finds it.
        in_bytes: the database's files hold its row key, in a row or in what is left of one.
        listed: ``doorctl visits list`` shows it.
    """

    in_rows: bool
    in_bytes: bool
    listed: bool


@dataclass(frozen=True, slots=True)
class Forgotten:
    """The whole case.

    Args:
        at: when the visit was, UTC.
        before: its traces before the door started.
        purge: the door's own line about the purge at its start, if there was one.
        after: its traces now.
    """

    at: datetime
    before: Traces
    purge: Line | None
    after: Traces

    @property
    def as_expected(self) -> bool:
        """It was there, was never listed, and is gone without a trace."""
        return self.before == Traces(True, True, False) and self.after == Traces(
            False, False, False
        )


def plant(visits: Path, now: datetime) -> datetime:
    """Put the visit into a door log that nobody has open; return its time, UTC."""
    at = now - AGE
    stamped = Stamped(at, ClockState.TRUSTED, BootTime("a boot 31 days ago", 0))
    with closing(VisitStore(visits)) as store:
        attempt = store.last_attempt() + 1
        store.open_attempt(attempt, stamped, ROW_KEY, None)
        store.close_attempt(attempt, Reason.OK)
    return at


def traces(stage: Stage) -> Traces:
    """Look for the visit in every place."""
    visits = stage.directory / "visits.db"
    card = ROW_KEY.hex()[:CARD_HEX_DIGITS]
    with closing(VisitHistory(visits)) as history:
        in_rows = any(visit.card == card for visit in history.visits(EVER))
    in_bytes = any(ROW_KEY in file.read_bytes() for file in visits.parent.glob("visits.db*"))
    shown = json.loads(stage.call("visits", "list", "--json").stdout)
    return Traces(in_rows, in_bytes, any(visit["card"] == card for visit in shown))
