from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import doorctl
from doorctl.core.errors import StoreBusyError
from doorctl.core.ports import Seal
from doorctl.store.outbox import OutboxStore, open_or_create_outbox
from doorctl.sync.outbox import OutboxState, Revision, Terms, Volume
from tests.sync.senders import TERMS, TODAY, Town, patron

DIGEST = "a" * 64
OLDER_HEAD, HEAD = f"7:{DIGEST}", f"9:{DIGEST}"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the outbox is."""
    return tmp_path / "outbox.db"


@pytest.fixture
def outbox(path: Path) -> Iterator[OutboxStore]:
    """An empty outbox."""
    with closing(open_or_create_outbox(path)) as store:
        yield store


def revision(ref: str, cards: int = 1) -> Revision:
    """A patron with invented lines."""
    return Revision(ref, ref.encode().ljust(32), tuple(b"%d\n" % n for n in range(cards)))


def test_an_empty_outbox(outbox: OutboxStore) -> None:
    """Holds nobody, has sent nothing and knows no terms."""
    assert outbox.state() == OutboxState(0, 0, None, 0)
    assert outbox.fingerprints() == {}
    assert outbox.volume(0) == Volume(0, 0)
    assert not outbox.was_sent("oest", 0, "", 14)


def test_the_file_is_private(outbox: OutboxStore) -> None:
    """Nobody else on the server reads it, nor what SQLite lays beside it."""
    outbox.record([revision("1")], [], TERMS)

    files = list(outbox.path.parent.iterdir())
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_there_is_one_sender(outbox: OutboxStore) -> None:
    """A second run at the same time is refused, not interleaved."""
    with pytest.raises(StoreBusyError):
        OutboxStore(outbox.path)


def test_each_change_bears_the_epoch_it_came_with(outbox: OutboxStore) -> None:
    """So that what came after any epoch can be told, and no more."""
    outbox.record([revision("1"), revision("2", cards=2)], [], TERMS)
    outbox.record([revision("3")], [], TERMS)

    standing = outbox.record([revision("1", cards=3)], ["2"], TERMS)

    assert standing == OutboxState(3, 1, TERMS, 2)
    assert [outbox.volume(after) for after in range(4)] == [
        Volume(4, 0),
        Volume(4, 1),
        Volume(3, 1),
        Volume(0, 0),
    ]
    assert list(outbox.rows(2, 14)) == [(b"0\n", None), (b"1\n", None), (b"2\n", None)]
    assert (list(outbox.removals(1)), list(outbox.removals(0))) == (["2"], [])
    assert outbox.fingerprints() == {ref: ref.encode().ljust(32) for ref in ("1", "3")}


def test_nothing_recorded_is_no_epoch(outbox: OutboxStore) -> None:
    """Nor is somebody taken out who is not there."""
    outbox.record([revision("1")], [], TERMS)

    assert outbox.record([], ["2"], TERMS).epoch == 1
    assert outbox.record([], [], Terms(TERMS.seal, 9)).terms == TERMS


def test_what_breaks_off_is_undone(outbox: OutboxStore) -> None:
    """Half a run leaves nothing."""

    def broken() -> Iterator[Revision]:
        yield revision("1")
        raise EOFError

    with pytest.raises(EOFError):
        outbox.record(broken(), [], TERMS)
    assert outbox.state() == OutboxState(0, 0, None, 0)


def test_other_terms_raise_the_floor(outbox: OutboxStore) -> None:
    """Nothing before can be told in changes: its rows were of another seal."""
    others = Terms(Seal("deadbeef", 8, 1), 14)
    outbox.record([revision("1")], [], TERMS)
    outbox.record([revision("2")], [], TERMS)

    assert outbox.record([revision("1")], [], others) == OutboxState(3, 3, others, 2)


def test_outranking_only_goes_up(outbox: OutboxStore) -> None:
    """A branch's higher number is passed by one; a lower one changes nothing."""
    assert outbox.outrank(41) == 42
    assert outbox.outrank(7) == 42
    assert outbox.record([revision("1")], [], TERMS).epoch == 43


def test_what_was_sent_is_known_by_branch_number_rows_and_age(outbox: OutboxStore) -> None:
    """And forgotten once the branch holds a later one."""
    outbox.note_sent("oest", 0, 3, DIGEST, 14)

    assert outbox.was_sent("oest", 3, DIGEST, 14)
    assert not outbox.was_sent("oest", 3, "", 14)
    assert not outbox.was_sent("oest", 4, DIGEST, 14)
    assert not outbox.was_sent("syd", 3, DIGEST, 14)
    assert not outbox.was_sent("oest", 3, DIGEST, 15)
    outbox.note_sent("oest", 4, 5, DIGEST, 14)
    assert not outbox.was_sent("oest", 3, DIGEST, 14)
    assert outbox.was_sent("oest", 5, DIGEST, 14)


def test_an_audit_log_is_confirmed_for_the_branch_that_was_named(outbox: OutboxStore) -> None:
    """Another branch's, of which entries are gone too, has been looked at by nobody.

    Bug (second penetration test, plant): a confirmation that counted for every branch.
    """
    for branch in ("oest", "oest-2", "syd"):
        outbox.note_audit_head(branch, HEAD, TODAY, 7, OLDER_HEAD)
    outbox.confirm_audit(["oest"])

    assert outbox.audit_lost() == {"oest-2": OLDER_HEAD, "syd": OLDER_HEAD}


def test_forgetting_raises_the_floor_as_far_as_it_must(outbox: OutboxStore) -> None:
    """To the last removal that is forgotten, so that no branch is sent everything needlessly."""
    outbox.record([revision("1"), revision("2"), revision("3")], [], TERMS)
    outbox.record([], ["2"], TERMS)
    outbox.record([], ["3"], TERMS)
    outbox.record([revision("4")], [], TERMS)

    outbox.forget_removed(2)
    assert outbox.state().floor_epoch == 2
    assert list(outbox.removals(1)) == ["3"]
    outbox.forget_removed(4)
    assert outbox.state().floor_epoch == 3
    assert outbox.volume(1) == Volume(1, 0)


def test_it_outlives_its_process(outbox: OutboxStore, path: Path) -> None:
    """What was recorded is there when it is opened again."""
    before = outbox.record([revision("1")], [], TERMS)
    outbox.close()

    with closing(open_or_create_outbox(path)) as again:
        assert again.state() == before


def test_no_statement_means_something_else_to_an_older_sqlite() -> None:
    """Up to 3.44 (Debian 12) ``->> '10'`` is place 10 of a list: every child was old enough.

    Bug (read by a stranger): with the SQLite of Debian 12 a sender told every branch with an
    age limit of its own that all children are old enough.
    """
    house = Path(doorctl.__file__).parent

    assert [file.name for file in house.rglob("*.py") if "->>" in file.read_text("utf-8")] == []


REPORTS = st.lists(
    st.tuples(
        st.sampled_from(["oest", "syd", "langaa"]),
        st.dictionaries(st.sampled_from("1234"), st.integers(1, 10**6), max_size=4),
    ),
    max_size=9,
)


@given(reports=REPORTS)
def test_each_branch_counts_once_and_a_lying_one_only_so_much(
    outbox: OutboxStore, reports: list[tuple[str, dict[str, int]]]
) -> None:
    """Whatever was reported in which order: the last of each counts, of who is in the register."""
    outbox.record([revision(ref) for ref in "123"], [], TERMS)
    last: dict[str, dict[str, int]] = {"oest": {}, "syd": {}, "langaa": {}}
    for branch in last:
        outbox.note_wrong_pins(branch, {}, TODAY)
    for branch, here in reports:
        outbox.note_wrong_pins(branch, here, TODAY)
        last[branch] = here

    for branch in last:
        told = outbox.wrong_pins_elsewhere(branch, 500)
        others = [here for name, here in last.items() if name != branch]
        sums = {ref: sum(min(here.get(ref, 0), 100) for here in others) for ref in "123"}
        assert told == {ref: wrong for ref, wrong in sums.items() if wrong}
        assert list(told.values()) == sorted(told.values(), reverse=True)
        assert outbox.wrong_pins_elsewhere(branch, 1) == dict(list(told.items())[:1])


def test_no_secret_lies_in_the_file(tmp_path: Path) -> None:
    """No card number, PIN or birthday, in no form that can be searched for."""
    town = Town(tmp_path, [])
    town.source.patrons = [patron(1234, pin="481516")]
    town.push()

    raw = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"1234" in raw
    assert b"3000001234" not in raw
    assert b"481516" not in raw
