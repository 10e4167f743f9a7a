"""The log that hands alarms on."""

from __future__ import annotations

from doorctl.core.alarms import RaisedAlarm
from doorctl.notices.sending import AlarmLog
from tests.fakes.clock import FakeClock
from tests.fakes.event_log import FakeEventLog


def test_every_line_is_written_and_alarms_go_further() -> None:
    """The journal has all; of an alarm its kind and words go on, and no other field."""
    log, heard, clock = FakeEventLog(), list[RaisedAlarm](), FakeClock(monotonic=7.0)
    both = AlarmLog(log, heard.append, clock)
    both.emit("decision", verdict="refused", attempt=3)
    both.emit("alarm", kind="stalled", why="stood still", attempt=3)
    both.emit("alarm", kind="visit_log_cleared")
    both.emit("alarm", kind="log_dropped", why=None)

    assert [line["event"] for line in log.lines] == ["decision", "alarm", "alarm", "alarm"]
    assert heard == [
        RaisedAlarm("stalled", "stood still", 7.0),
        RaisedAlarm("visit_log_cleared", "", 7.0),
        RaisedAlarm("log_dropped", "", 7.0),
    ]


def test_the_journal_has_it_first() -> None:
    """Whatever happens on the way out: the line was written before."""
    log = FakeEventLog()
    seen: list[int] = []
    AlarmLog(log, lambda _heard: seen.append(len(log.lines)), FakeClock()).emit("alarm", kind="x")

    assert seen == [1]
