"""The log lines, read from a real pipe."""

from __future__ import annotations

import json
import os
import threading
import time
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.ops.logs import ALLOWED_KEYS, LONGEST_TEXT, QUEUED_LINES, JsonLog


class Pipe:
    """A stdout that is read when the test says so."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        self._data: list[bytes] = []
        self._thread = threading.Thread(target=self._drain, daemon=True)

    def read_from_now_on(self) -> None:
        """Let it flow."""
        self._thread.start()

    def lines(self) -> list[bytes]:
        """Close the writing end; return all that came, line by line."""
        os.close(self.writer)
        if self._thread.ident is None:
            self._thread.start()
        self._thread.join()
        os.close(self.reader)
        data = b"".join(self._data)
        assert data.endswith(b"\n") or not data
        return data.split(b"\n")[:-1]

    def wait_for_gaps(self, count: int) -> None:
        """Wait until `count` lines are accounted for."""
        for _ in range(500):
            whole = b"".join(self._data).rpartition(b"\n")[0].splitlines()
            if accounted([json.loads(line) for line in whole]) == count:
                return
            time.sleep(0.01)
        pytest.fail("the gap was not told")

    def decoded(self) -> list[dict[str, Any]]:
        """Return the lines as they are read."""
        return [json.loads(line) for line in self.lines()]

    def _drain(self) -> None:
        while data := os.read(self.reader, 65536):
            self._data.append(data)


def numbered(log: JsonLog, count: int, **more: str) -> None:
    """Emit so many lines, each with its number."""
    for number in range(count):
        log.emit("decision", attempt=number, **more)


def written(*emits: dict[str, Any]) -> list[dict[str, Any]]:
    """Emit lines (the name under ``event``); return what arrived, decoded."""
    pipe = Pipe()
    log = JsonLog(pipe.writer)
    for fields in emits:
        log.emit(**fields)
    log.close()
    return pipe.decoded()


def test_a_line_is_one_json_object() -> None:
    """The name is under `event`, the time is UTC under `at`, values keep their types.

    Whoever filters by level sees alarms.
    """
    fields = {"event": "relay", "energised": True, "monotonic_ns": 12, "why": None}
    line, alarm = written(fields, {"event": "alarm", "kind": "clock_untrusted"})
    at = datetime.fromisoformat(line.pop("at"))

    assert at.utcoffset() == timedelta(0)
    assert line == {**fields, "level": "info"}
    assert (alarm["level"], alarm["kind"]) == ("warning", "clock_untrusted")


@given(st.text(min_size=1).filter(lambda key: key.isidentifier() and key not in ALLOWED_KEYS))
def test_a_key_that_nobody_allowed_vanishes(key: str) -> None:
    """A mistake in a caller can't put a name, a card or a PIN into the log."""
    if key in {"self", "event"}:
        return
    (line,) = written({"event": "decision", key: "Karen Testesen", "verdict": "granted"})

    assert line.keys() == {"event", "verdict", "at", "level"}


@pytest.mark.parametrize(
    "number",
    [
        "0101701234",
        "010170-1234",
        "010170 1234",
        "010170.1234",
        "010170\u20131234",
        "01 01 70 12 34",
        "3000 001 234",
    ],
)
def test_what_looks_like_a_cpr_number_is_scrubbed(number: str) -> None:
    """Also in a value that is allowed, and in the name of the line."""
    lines = written({"event": f"x {number}", "why": f"a row with {number}, a letter"})

    assert lines[0]["why"] == "a row with [scrubbed], a letter"
    assert number not in json.dumps(lines)


@pytest.mark.parametrize("when", ["2026-03-02", "2026-03-02T19:04:05.123456+01:00"])
def test_a_time_is_not_scrubbed(when: str) -> None:
    """A line's dates stay, whole or with their time."""
    (line,) = written({"event": "purge", "cutoff": when, "until": when})

    assert (line["cutoff"], line["until"]) == (when, when)


@pytest.mark.parametrize("forger", ["\n", "\r\n", "\x00", "\x1b[2J", "\x85", "\u2028", "\x9b"])
def test_control_characters_cannot_forge_a_line(forger: str) -> None:
    """Whatever a value holds, one emit is one line, and a terminal obeys none of it."""
    pipe = Pipe()
    log = JsonLog(pipe.writer)
    log.emit("reader", why=f'x{forger}{{"event":"decision","verdict":"granted"}}')
    log.close()
    (line,) = pipe.lines()

    assert line.decode().isprintable()
    assert json.loads(line)["event"] == "reader"


@given(
    st.dictionaries(
        st.sampled_from(sorted(ALLOWED_KEYS - {"event", "at", "level"})),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
        max_size=6,
    ),
    st.text() | st.text(st.characters(categories=["Cs", "Cc"])),
)
def test_any_value_makes_a_valid_line(fields: dict[str, Any], event: str) -> None:
    """Lone surrogates, huge integers, infinities, even types that don't belong: never an error."""
    (line,) = written({"event": event, **fields})

    assert line.keys() == fields.keys() | {"event", "at", "level"}


def test_a_long_text_is_cut() -> None:
    """A megabyte of garbage does not get into the journal."""
    (line,) = written({"event": "reader", "why": "x" * 1_000_000})

    assert line["why"] == "x" * LONGEST_TEXT


def test_lines_of_many_threads_are_in_the_order_of_their_times() -> None:
    """Each thread's lines keep their order, and `at` never goes back."""
    pipe = Pipe()
    log = JsonLog(pipe.writer)
    pipe.read_from_now_on()

    def talk(name: str) -> None:
        for number in range(200):
            log.emit("push", kind=name, attempt=number)

    threads = [threading.Thread(target=talk, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    lines = pipe.decoded()

    assert [line["at"] for line in lines] == sorted(line["at"] for line in lines)
    for name in "abcd":
        assert [line["attempt"] for line in lines if line.get("kind") == name] == list(range(200))


def accounted(lines: list[dict[str, Any]]) -> int:
    """Follow numbered lines across the gaps that were told; return how many are accounted for."""
    number = 0
    for line in lines:
        if line["event"] == "alarm":
            assert (line["kind"], line["level"]) == ("log_dropped", "warning")
            number += line["dropped"]
        else:
            assert line["attempt"] == number
            number += 1
    return number


def test_a_stalled_stdout_holds_nobody_up() -> None:
    """10 000 emits return while nobody reads; each line arrives in order or in a told gap."""
    pipe = Pipe()
    log = JsonLog(pipe.writer)
    numbered(log, 10_000)
    pipe.read_from_now_on()
    log.close()
    lines = pipe.decoded()

    assert accounted(lines) == 10_000
    assert QUEUED_LINES < len(lines) < 10_000


def test_after_a_gap_the_lines_go_on() -> None:
    """Once it flows again the gap is told without waiting for the next line, which then follows."""
    pipe = Pipe()
    log = JsonLog(pipe.writer)
    numbered(log, 5000)
    pipe.read_from_now_on()
    pipe.wait_for_gaps(5000)
    log.emit("decision", attempt=5000)
    log.close()
    lines = pipe.decoded()

    assert accounted(lines) == 5001
    assert lines[-1]["event"] == "decision"


def test_closing_twice_and_logging_after_it_are_harmless() -> None:
    """A thread that outlives the log is not broken by it."""
    pipe = Pipe()
    log = JsonLog(pipe.writer)
    log.emit("ready")
    log.close()
    log.close()
    log.emit("decision")

    assert len(pipe.lines()) == 1


def test_a_reader_that_went_away_is_harmless() -> None:
    """A broken pipe costs the lines, not the daemon."""
    reader, writer = os.pipe()
    log = JsonLog(writer)
    os.close(reader)
    for _ in range(3):
        log.emit("ready")
    log.close()
    os.close(writer)


def test_a_non_blocking_stdout_loses_nothing() -> None:
    """A terminal that another process has made non-blocking is waited for."""
    pipe = Pipe()
    os.set_blocking(pipe.writer, False)
    log = JsonLog(pipe.writer)
    numbered(log, QUEUED_LINES, why="x" * 400)
    pipe.read_from_now_on()
    log.close()

    assert [line["attempt"] for line in pipe.decoded()] == list(range(QUEUED_LINES))
