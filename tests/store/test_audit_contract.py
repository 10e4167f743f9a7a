"""What the audit log does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, timedelta
from pathlib import Path

import pytest

from doorctl.core.errors import InputError
from doorctl.core.moments import ClockState, Moment
from doorctl.privacy.audit import (
    EMPTY,
    Action,
    AuditReader,
    AuditWriter,
    Deed,
    Entry,
    Head,
    Verdict,
    erased_numbers,
    verify,
)
from doorctl.store.branch_writer import BranchRecordsWriter
from doorctl.store.records import AuditRecords, AuditTrail
from tests.store.samples import DAY, NOON, key_of

LOOK = Deed(
    Action.PATRON_EXPLAINED, (key_of(1), key_of(2)), "p-1", "æ 'call'", {"number": 7, "day": "x"}
)
OTHER_LOOK = Deed(Action.PATRON_EXPLAINED, (key_of(3),), "p-3")
LIST = Deed(Action.VISITS_LISTED, details={"visits": 12})


@dataclass
class Audit:
    """An audit log's two sides."""

    reader: AuditReader
    writer: AuditWriter

    def verdict(self) -> Verdict:
        """Check the chain."""
        return verify(self.reader.links(), self.reader.last_number())

    def numbers(self) -> list[int]:
        """Return the numbers that were not erased."""
        return [one.number for one in self.reader.entries()]


@pytest.fixture
def audit(path: Path, writer: BranchRecordsWriter) -> Iterator[Audit]:
    """An audit log on which nothing stands."""
    with closing(AuditRecords(path)) as reader:
        yield Audit(reader, AuditTrail(writer))


def at(days: int = 0, state: ClockState = ClockState.TRUSTED) -> Moment:
    """Return the moment so many days after a noon."""
    return Moment(NOON + days * DAY, NOON, state)


def test_a_deed_comes_back_as_it_was_told(audit: Audit) -> None:
    """With its number, when, how good the clock was, and who."""
    head = audit.writer.append(LOOK, "grethe", at())

    (entry,) = audit.reader.entries()
    assert entry == Entry(1, NOON.astimezone(UTC), ClockState.TRUSTED, "grethe", LOOK)
    assert head.number == 1
    assert audit.reader.head() == audit.writer.head() == head


def test_an_empty_log_is_sound(audit: Audit) -> None:
    """It ends where every chain begins."""
    assert audit.reader.head() == audit.writer.head() == EMPTY
    assert audit.reader.entries() == ()
    assert audit.verdict() == Verdict(0, 0, 0, EMPTY)


def test_a_head_is_known_by_number_and_hash(audit: Audit) -> None:
    """Whatever came after it, and though its record was erased; no other number has that hash."""
    heads = [audit.writer.append(deed, "grethe", at()) for deed in (LIST, LOOK, LIST)]
    audit.writer.erase_about([], LOOK.patron_ref, at())

    assert all(map(audit.writer.holds, [EMPTY, *heads]))
    for head in heads:
        assert not audit.writer.holds(Head(head.number, bytes(32)))
        assert not audit.writer.holds(Head(head.number + 1, head.hash))
    assert not audit.writer.holds(Head(0, bytes(32)))


def test_the_last_entry_before_a_time_is_found(audit: Audit) -> None:
    """By a clock that somebody vouches for; what an unset one dates may be of any day."""
    for moment in (at(), at(1), at(2), at(-9, ClockState.UNTRUSTED)):
        audit.writer.append(LIST, "grethe", moment)

    found = [audit.writer.last_before(NOON + days * DAY) for days in (0, 1, 2, 9)]

    assert [one and one[0] for one in found] == [None, 1, 2, 3]
    assert found[1] == (1, NOON.astimezone(UTC))


def test_entries_are_numbered_and_listed_from_a_time_on(audit: Audit) -> None:
    """Oldest first, by the time that stands in them."""
    for day in range(4):
        audit.writer.append(LIST, "grethe", at(day))

    assert audit.numbers() == [1, 2, 3, 4]
    assert [one.number for one in audit.reader.entries(NOON + 2 * DAY)] == [3, 4]
    assert audit.verdict().entries == 4


def test_who_looked_at_a_person_is_found_by_card_and_by_patron(audit: Audit) -> None:
    """A person may ask; a list of everybody names nobody."""
    for deed in (LOOK, OTHER_LOOK, LIST):
        audit.writer.append(deed, "grethe", at())

    assert [one.number for one in audit.reader.about([key_of(2)], None)] == [1]
    assert [one.number for one in audit.reader.about([], "p-3")] == [2]
    assert [one.number for one in audit.reader.about([key_of(1)], "p-3")] == [1, 2]
    assert audit.reader.about([key_of(9)], "p-9") == ()
    assert audit.reader.about([], None) == ()


def test_what_names_a_person_is_erased_and_the_chain_holds(audit: Audit) -> None:
    """Of the others nothing is; a second time there is nothing left to erase."""
    for deed in (LIST, LOOK, OTHER_LOOK):
        audit.writer.append(deed, "grethe", at())

    erased = audit.writer.erase_about([key_of(1)], "p-9", at())
    assert erased == (2,)
    assert audit.writer.erase_about([key_of(1)], "p-9", at()) == ()
    assert audit.verdict().broken == 2, "no entry says so yet"
    deed = Deed(Action.SUBJECT_ERASED, details=erased_numbers(erased))
    audit.writer.append(deed, "grethe", at())

    assert audit.numbers() == [1, 3, 4]
    verdict = audit.verdict()
    assert (verdict.broken, verdict.entries, verdict.erased, verdict.erased_singly) == (
        None, 4, 1, 1
    )  # fmt: skip


def _use_until(audit: Audit, last: int) -> None:
    for day in range(2, last, 2):
        with audit.writer.together(at(day)):
            pass


@pytest.mark.parametrize(("days", "kept"), [(184, [1, 2]), (185, [2]), (400, [2])])
def test_a_record_is_erased_after_half_a_year(audit: Audit, days: int, kept: list[int]) -> None:
    """At the next write, whatever that is; the entry itself stays in the chain."""
    audit.writer.append(LOOK, "grethe", at())
    _use_until(audit, days)
    audit.writer.append(LIST, "grethe", at(days))

    assert audit.numbers() == kept
    verdict = audit.verdict()
    assert (verdict.broken, verdict.entries, verdict.erased_singly) == (None, 2, 0)


def test_an_unset_clock_erases_nothing_and_keeps_nothing_for_ever(audit: Audit) -> None:
    """What was written years ahead by a wrong clock goes with what was written after it."""
    audit.writer.append(LOOK, "grethe", at(2000, ClockState.UNTRUSTED))
    audit.writer.append(LIST, "grethe", at(1))
    audit.writer.append(LIST, "grethe", at(3000, ClockState.UNTRUSTED))
    assert audit.numbers() == [1, 2, 3]

    _use_until(audit, 190)
    audit.writer.append(LIST, "grethe", at(190))

    assert audit.numbers() == [3, 4]


def test_an_unset_clock_that_is_behind_makes_nothing_old(audit: Audit) -> None:
    """A Pi that starts in the year before last says nothing of when the entries before it were."""
    audit.writer.append(LOOK, "grethe", at())
    audit.writer.append(LIST, "grethe", at(-400, ClockState.UNTRUSTED))
    audit.writer.append(LIST, "grethe", at(1))

    assert audit.numbers() == [1, 2, 3]


def test_a_vouched_clock_that_is_behind_makes_nothing_old(audit: Audit) -> None:
    """A battery clock that stood still for a year is believed; its record goes with the others."""
    audit.writer.append(LOOK, "grethe", at())
    audit.writer.append(LIST, "grethe", at(-400))
    for day in (1, 2):
        audit.writer.append(LIST, "grethe", at(day))
    assert audit.numbers() == [1, 2, 3, 4]

    _use_until(audit, 190)
    for day in (190, 191):
        audit.writer.append(LIST, "grethe", at(day))

    assert audit.numbers() == [5, 6]


def test_a_block_is_on_record_as_a_whole_or_not_at_all(audit: Audit) -> None:
    """What raises leaves no entry, an inner block's neither, and no number is lost."""
    audit.writer.append(LIST, "grethe", at())

    def fail() -> None:
        with audit.writer.together(at()):
            audit.writer.append(LOOK, "grethe", at())
            raise InputError("told to fail")

    with pytest.raises(InputError):
        fail()
    assert audit.numbers() == [1]
    with audit.writer.together(at()):
        audit.writer.append(LOOK, "grethe", at())
        audit.writer.append(LIST, "grethe", at())

    assert audit.numbers() == [1, 2, 3]
    assert audit.verdict().broken is None


def test_a_strange_name_is_put_on_record_as_well_as_can_be(audit: Audit) -> None:
    """An approver's name comes from outside; it must not keep the approval off the record."""
    audit.writer.append(LIST, "a\x00\ud800\u2028b", at(0))

    assert [one.by for one in audit.reader.entries()] == ["a???b"]


def test_times_are_kept_to_the_millisecond(audit: Audit) -> None:
    """Rounded down, so that no entry is from the future."""
    moment = Moment(NOON + timedelta(microseconds=1999), NOON, ClockState.HOLDOVER)
    audit.writer.append(LIST, "grethe", moment)

    (entry,) = audit.reader.entries()
    assert (entry.at, entry.clock) == (NOON + timedelta(milliseconds=1), ClockState.HOLDOVER)
