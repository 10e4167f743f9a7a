"""Which alarms of the sender stand, and which way has still to be told what.

Bug (read by a stranger): one notice that a mail server would not take held up all that came after
it, each run.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.core.alarm_records import LONGEST_WHY
from doorctl.core.alarms import ENDS, KINDS
from doorctl.sync.delivery import Delivery, Result
from doorctl.sync.feed import WrongRow
from doorctl.sync.sender_alarms import AGAIN_AFTER, MOST_LISTED, NEWS_AFTER, Book

NOW = datetime(2026, 3, 2, 3, tzinfo=UTC)
REST = timedelta(hours=1)
PATIENCE = timedelta(hours=12)


def told(book: Book, now: datetime, way: str = "mail") -> dict[str, str]:
    """Send all that is due by a way; return kind -> words."""
    sent: dict[str, str] = {}
    book.tell(way, now, REST, sent.__setitem__)
    return sent


def failed(branch: str, *, refused: bool = False, why: str = "why") -> Delivery:
    """A branch that has not got it."""
    return Delivery(branch, Result.FAILED, why=why, refused=refused)


def up(branch: str, *, kept: str | None = None) -> Delivery:
    """A branch that has."""
    return Delivery(branch, Result.UNCHANGED, 1, audit_head="9:ab", audit_kept=kept)


def test_a_fault_is_told_when_it_begins_daily_and_when_it_is_over() -> None:
    """Each way by itself: one that was down hears of it later, and of its end if it heard of it."""
    book = Book()
    book.stand("branch_refuses", {"oest": "the guard"})

    assert told(book, NOW) == {"branch_refuses": "oest: the guard"}
    assert told(book, NOW + AGAIN_AFTER - REST) == {}
    assert told(book, NOW + AGAIN_AFTER) == {"branch_refuses": "oest: the guard"}
    assert told(book, NOW + AGAIN_AFTER, "hook") == {"branch_refuses": "oest: the guard"}
    book.stand("branch_refuses", {})
    assert told(book, NOW + AGAIN_AFTER) == {"branch_refuses_cleared": "oest"}
    assert told(book, NOW + AGAIN_AFTER, "third") == {}
    book.forget({"mail", "hook"})
    assert told(book, NOW + AGAIN_AFTER, "hook") == {"branch_refuses_cleared": "oest"}
    book.forget({"mail", "hook"})
    assert book.alarms == {"branch_refuses": {}}


def test_a_second_branch_is_told_with_the_first() -> None:
    """After the rest, in one notice that has room for a word on each."""
    book = Book()
    book.stand("branch_refuses", {"oest": "x" * 400})
    told(book, NOW)
    book.stand("branch_refuses", {"oest": "x" * 400, "syd": "y"})

    assert told(book, NOW) == {}
    words = told(book, NOW + REST)["branch_refuses"]
    assert words.endswith("x; syd: y")
    assert len(words) <= LONGEST_WHY


def test_what_begins_again_before_its_end_was_told_has_none() -> None:
    """Nobody is told of an end that is none."""
    book = Book()
    book.stand("export_old", {"": "why"})
    told(book, NOW)
    book.stand("export_old", {})
    book.stand("export_old", {"": "why"})

    assert told(book, NOW + REST) == {}
    assert told(book, NOW + AGAIN_AFTER) == {"export_old": "why"}


def test_what_has_no_end_is_told_though_it_be_over() -> None:
    """A log that was written anew is found once: a mail server that is down must not hide it."""
    book = Book()
    book.delivered([up("oest", kept="41:ab")], NOW, PATIENCE)
    book.forget({"mail"})
    book.delivered([up("oest")], NOW, PATIENCE)
    book.forget({"mail"})

    assert told(book, NOW) == {"audit_rewritten": "oest: entry 41 of it is another one or none"}
    assert told(book, NOW + AGAIN_AFTER) == {}
    book.forget({"mail"})
    assert book.alarms["audit_rewritten"] == {}


def test_who_refused_and_is_away_refuses_still() -> None:
    """And is not told as behind as well; one that was never reached is, from its time on."""
    book = Book()
    book.delivered([failed("oest", refused=True), failed("syd")], NOW, PATIENCE)
    assert set(told(book, NOW)) == {"branch_refuses"}
    later = NOW + PATIENCE
    book.delivered([failed("oest"), failed("syd", why="away")], later, PATIENCE)

    assert told(book, later) == {"branch_behind": "syd: away"}
    book.delivered([up("oest"), up("syd")], later, PATIENCE)
    assert set(told(book, later)) == {"branch_behind_cleared", "branch_refuses_cleared"}
    assert book.behind == {}


@pytest.mark.parametrize(
    ("written", "passed", "expected"),
    [
        (NEWS_AFTER, timedelta(0), "the newest file is of 2026-03-01 01:00"),
        (NEWS_AFTER - timedelta(minutes=1), timedelta(0), ""),
        (
            timedelta(0),
            NEWS_AFTER,
            "a file came, and holds just what the one of the day before did",
        ),
        (timedelta(0), NEWS_AFTER - timedelta(minutes=1), ""),
    ],
)
def test_when_an_export_is_old(written: timedelta, passed: timedelta, expected: str) -> None:
    """By its own age, or by holding what was held a day before; from 26 h on."""
    book = Book()
    book.exported(NOW - written - passed, "a", NOW - passed)
    book.exported(NOW - written, "a", NOW)
    assert told(book, NOW).get("export_old", "") == expected

    book.exported(NOW, "b", NOW)
    assert [one for one in book.alarms["export_old"].values() if not one.over] == []


COUNTS = {"patrons": 1000, "blocked": 30, "resident": 900, "set_aside": 0}


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"blocked": 79}, ""),
        ({"blocked": 80}, "blocked: 80 of 1000 patrons, 30 of 1000 before"),
        ({"blocked": 0}, "blocked: 0 of 1000 patrons, 30 of 1000 before"),
        ({"resident": 850}, "resident: 850 of 1000 patrons, 900 of 1000 before"),
        ({"patrons": 500, "blocked": 15, "resident": 450}, ""),
        ({"patrons": 19, "blocked": 19, "resident": 0}, ""),
        ({"set_aside": 300}, ""),
    ],
)
def test_which_export_is_odd(changed: dict[str, int], named: str) -> None:
    """One in which a share of the patrons is another by a twentieth; not one that is smaller."""
    book = Book()
    assert book.looked(COUNTS, NOW) == []

    assert "; ".join(book.looked({**COUNTS, **changed}, NOW)) == named
    assert told(book, NOW) == ({"export_odd": named} if named else {})


def test_an_odd_export_is_compared_with_the_last_good_one_for_a_day() -> None:
    """The next export, minutes later, does not end the alarm; after a day it is how things are."""
    book, odd = Book(), {**COUNTS, "blocked": 500}
    book.looked(COUNTS, NOW)

    assert book.looked(odd, NOW) != []
    assert book.looked(odd, NOW + REST) != []
    told(book, NOW + REST)
    assert book.looked(COUNTS, NOW + 2 * REST) == []
    assert told(book, NOW + 2 * REST) == {"export_odd_cleared": ""}
    assert book.looked(odd, NOW + 3 * REST) != []
    assert book.looked(odd, NOW + 3 * REST + AGAIN_AFTER) == []
    assert book.looked(odd, NOW + 4 * REST + AGAIN_AFTER) == []


def test_rows_are_told_anew_where_they_are_others() -> None:
    """Not because a line or a file has another name: that changes each night."""

    def row(line: int, ref: str, why: str) -> tuple[str, WrongRow]:
        return f"{line}-full.ndjson", WrongRow(line, (why,), ref)

    book = Book()
    book.set_aside([row(1, "7", "pin"), row(2, "8", "")], ["a\n", "b\n"])
    assert told(book, NOW) == {"rows_set_aside": "\na\nb\n"}
    book.set_aside([row(5, "8", ""), row(4, "7", "pin")], ["b\n", "a\n"])
    assert told(book, NOW + REST) == {}
    book.set_aside([row(5, "8", ""), row(4, "9", "pin")], ["b\n", "c\n"])
    assert told(book, NOW + REST) == {"rows_set_aside": "\nb\nc\n"}
    many = ["x\n"] * (MOST_LISTED + 1)
    book.set_aside([row(each, "9", "") for each in range(len(many))], many)
    assert told(book, NOW + 2 * REST)["rows_set_aside"].split() == ["x"] * MOST_LISTED
    book.set_aside([], [])
    assert set(told(book, NOW + 3 * REST)) == {"rows_set_aside_cleared"}


def test_of_a_branch_that_was_taken_out_no_recovery_is_told() -> None:
    """It takes the register no more; what was found of its log is told all the same.

    Bug (read by a stranger): a branch that was taken out of the sender's configuration was said
    to take the register again.
    """
    book, later = Book(), NOW + PATIENCE
    for now in (NOW, later):
        gone = [failed("oest", refused=True), failed("syd"), up("langaa", kept="41:ab")]
        book.delivered([*gone, up("nord")], now, PATIENCE)
    assert set(told(book, later)) == {"branch_refuses", "branch_behind", "audit_rewritten"}

    book.delivered([up("nord")], later + REST, PATIENCE)

    assert set(told(book, later + REST)) == set()
    assert set(told(book, later + REST, "third")) == {"audit_rewritten"}
    assert book.alarms["branch_refuses"] == book.alarms["branch_behind"] == {}


def test_a_clock_that_was_ahead_once_silences_nothing() -> None:
    """Whatever was noted in the future counts from now on.

    Bug (read by a stranger): a sender's clock that was ahead once, or that nobody vouches for,
    silenced its alarms for good.
    """
    book, ahead = Book(), NOW + timedelta(days=1000)
    book.exported(ahead, "a", ahead)
    book.stand("sync_failed", {"": "why"})
    book.delivered([failed("oest"), failed("syd", refused=True)], ahead, PATIENCE)
    assert set(told(book, ahead)) == {"sync_failed", "branch_refuses"}

    book.exported(NOW, "a", NOW)
    book.delivered([failed("oest"), failed("syd", refused=True)], NOW, PATIENCE)
    assert set(told(book, NOW)) == {"sync_failed", "branch_refuses"}
    assert told(book, NOW + AGAIN_AFTER - REST) == {}
    later = NOW + NEWS_AFTER
    book.exported(later, "a", later)
    book.delivered([failed("oest"), up("syd")], later, PATIENCE)
    assert {"branch_behind", "export_old", "branch_refuses_cleared"} <= set(told(book, later))


def test_a_notice_that_a_way_refuses_holds_up_no_other_kind() -> None:
    """The first that was refused is raised once the others have gone; only those count as told."""
    book, sent = Book(), dict[str, str]()

    def send(kind: str, why: str) -> None:
        if kind.startswith("rows"):
            raise ValueError(kind)
        if kind == "branch_refuses_cleared":
            raise OSError(kind)
        sent[kind] = why

    book.stand("branch_refuses", {"oest": "why"})
    assert set(told(book, NOW)) == {"branch_refuses"}
    book = Book({"rows_set_aside": {}, **book.alarms}, book.sent)
    book.stand("rows_set_aside", {"": "long"})
    book.stand("branch_refuses", {})
    book.stand("sync_failed", {"": "why"})

    with pytest.raises(ValueError, match="rows_set_aside"):
        book.tell("mail", NOW + REST, REST, send)

    assert sent == {"sync_failed": "why"}
    assert set(told(book, NOW + REST)) == {"rows_set_aside", "branch_refuses_cleared"}


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["branch_refuses", "branch_behind", "audit_rewritten"]),
        st.frozensets(st.sampled_from(["oest", "syd", "langaa"])),
        st.frozensets(st.sampled_from(["mail", "hook"])),
        st.sampled_from([timedelta(minutes=5), REST, AGAIN_AFTER]),
    ),
    max_size=25,
)


@given(STEPS)
def test_whatever_comes_and_goes_is_told_in_turn(
    steps: list[tuple[str, frozenset[str], frozenset[str], timedelta]],
) -> None:
    """An end is told only after its alarm, and no way hears twice of a kind within the rest.

    What is kept survives the process, and all that stands is told by whichever way works a day on.
    """
    book, now = Book(), NOW
    heard: dict[tuple[str, str], datetime] = {}
    for kind, subjects, working, passed in steps:
        book.stand(kind, dict.fromkeys(subjects, "why"))
        for way in working:
            for told_kind in told(book, now, way):
                last = heard.get((way, told_kind))
                assert last is None or now - last >= REST
                heard[way, told_kind] = now
                if raised := KINDS[told_kind].clears:
                    assert (way, raised) in heard
        book.forget({"mail", "hook"})
        now += passed
        book = msgspec.json.decode(msgspec.json.encode(book), type=Book)
    standing = {k for k, known in book.alarms.items() if any(not o.over for o in known.values())}
    later = now + AGAIN_AFTER
    assert (
        standing
        <= set(told(book, later))
        <= standing | set(ENDS.values()) | (KINDS.keys() - ENDS.keys())
    )
    assert set(told(book, later)) == set()
