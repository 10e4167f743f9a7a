from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.core.errors import InputError
from doorctl.core.masked import InstallationKey
from doorctl.core.moments import ClockState, Moment
from doorctl.privacy.retention import (
    LONGEST,
    LONGEST_TEXT,
    LOOKED_BACK,
    Canaries,
    Found,
    Hold,
    Proof,
    PurgeReport,
    ReportSigner,
    Trim,
    accepted,
    chosen,
    prove,
    readable_since,
)

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
DAY = timedelta(days=1)
MOMENT = timedelta(milliseconds=1)
RETENTION = 30 * DAY
ASKED = Hold(NOON - 2 * DAY, NOON - DAY, "2026-117", "a window", NOON + 90 * DAY, "kirsten")


def at(now: datetime, state: ClockState = ClockState.TRUSTED) -> Moment:
    """Return a moment by a clock that was never ahead."""
    return Moment(now, now, state)


def held() -> Hold:
    """Return a hold as it is stored."""
    return replace(accepted(ASKED, at(NOON), RETENTION), number=3)


def test_a_hold_is_what_was_asked_for() -> None:
    """In UTC, with the time at which it was added."""
    assert held() == replace(ASKED, number=3, added_at=NOON)


@pytest.mark.parametrize(
    "edge",
    [
        replace(ASKED, until=NOON + LONGEST),
        replace(ASKED, since=NOON - RETENTION),
        replace(ASKED, to=NOON),
        replace(ASKED, until=NOON + MOMENT),
        replace(ASKED, reason="abc" + "x" * (LONGEST_TEXT - 3)),
        replace(ASKED, case="0700-12345-00001-26"),
        replace(ASKED, case="0700-123456"),
        replace(ASKED, case="3213-700101"),
    ],
)
def test_a_limit_itself_is_allowed(edge: Hold) -> None:
    """The longest hold, the oldest visit, a window up to now."""
    accepted(edge, at(NOON), RETENTION)


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (replace(ASKED, until=NOON + LONGEST + MOMENT), "at most 180 days"),
        (replace(ASKED, until=NOON), "ended already"),
        (replace(ASKED, to=ASKED.since), "before it begins"),
        (replace(ASKED, to=NOON + MOMENT), "in the future"),
        (replace(ASKED, since=NOON - RETENTION - MOMENT), "that is gone"),
        (replace(ASKED, case=" "), "case number"),
        (replace(ASKED, case="x" * (LONGEST_TEXT + 1)), "case number"),
        (replace(ASKED, reason=""), "reason"),
        (replace(ASKED, reason="two\nlines"), "reason"),
        (replace(ASKED, since=datetime(1, 1, 1, tzinfo=UTC)), "no time"),
        (replace(ASKED, until=datetime(2026, 9, 1)), "no time"),  # noqa: DTZ001 - as it is refused
        # Nobody's number stands in it, whichever way it comes, and is not repeated.
        (replace(ASKED, case="010170-1234"), "may be a CPR number"),
        (replace(ASKED, case="case 31/12/70 (1234)"), "may be a CPR number"),
        (replace(ASKED, reason="card 3000001234"), "8 or more digits in a row"),
    ],
)
def test_what_makes_no_sense_is_refused(asked: Hold, why: str) -> None:
    """A hold is bounded, has a reason, and is for what has happened and is still there."""
    with pytest.raises(InputError, match=why) as caught:
        accepted(asked, at(NOON), RETENTION)
    assert "1234" not in str(caught.value)


def test_no_hold_begins_by_a_guess() -> None:
    """Nobody could say when it ends; and while the clock is not set nothing is purged."""
    with pytest.raises(InputError, match="clock"):
        accepted(ASKED, at(NOON, ClockState.UNTRUSTED), RETENTION)


def test_a_hold_cannot_be_handed_on() -> None:
    """What only one hold keeps is out of reach for the next: there is no hold without an end."""
    later = NOON + 80 * DAY
    again = replace(ASKED, until=later + 90 * DAY)

    with pytest.raises(InputError, match="that is gone"):
        accepted(again, at(later), RETENTION)


@pytest.mark.parametrize(
    ("now", "since"),
    [
        (at(ASKED.until - MOMENT), ASKED.since),
        (at(ASKED.until), ASKED.until - RETENTION),
        (at(NOON + 40 * DAY, ClockState.UNTRUSTED), NOON + 10 * DAY),
        (Moment(NOON, ASKED.until, ClockState.TRUSTED), ASKED.until - RETENTION),
        (at(NOON, ClockState.UNTRUSTED), ASKED.since),
    ],
    ids=["its last moment", "its end", "in doubt", "once said to be over", "young and in doubt"],
)
def test_a_hold_shows_its_visits_while_it_certainly_holds(now: Moment, since: datetime) -> None:
    """After it, or where nobody knows how long the branch was off, no more than any list does."""
    assert readable_since(held(), now, RETENTION) == since
    assert held().in_force(now) is (now == at(ASKED.until - MOMENT))


def test_one_is_chosen_by_its_number() -> None:
    """A number that no hold has is told."""
    assert chosen([held()], 3) == held()
    with pytest.raises(InputError, match="no hold 4"):
        chosen([held()], 4)


KEY = InstallationKey(b"k" * 32)
CANARIES = Canaries(KEY)
OLD, TODAY = bytes(16), CANARIES.of(NOON.date())
REPORT = PurgeReport(1, NOON - 30 * DAY, (0, 0, 0), traces=frozenset({OLD}))
SIGNER = ReportSigner(KEY)


def proved(
    *there: bytes, report: PurgeReport = REPORT, came_again: frozenset[bytes] = frozenset()
) -> Proof:
    """Return the proof where some needles stand in the files."""
    return prove(
        report,
        Moment(NOON, NOON, ClockState.TRUSTED),
        CANARIES,
        kept=frozenset({TODAY}),
        still_kept=lambda traces: traces & came_again,
        search=lambda needles: Found(needles & frozenset(there), 4096, ("visits.db",)),
        trim=lambda: Trim.DONE,
    )


def test_a_clean_proof_found_all_that_may_be_there_and_nothing_else() -> None:
    """Today's canary is the control: a search that misses it would miss a visit."""
    proof = proved(TODAY)

    assert (proof.residue, proof.canaries_seen, proof.canaries_kept) == (0, 1, 1)
    assert proof.searched == 1 + LOOKED_BACK.days
    assert proof.clean


@pytest.mark.parametrize(
    ("there", "changes", "residue", "clean"),
    [
        # A row key that was just deleted, or a canary of a day long ago that nobody stored.
        ([TODAY, OLD], {}, 1, False),
        ([TODAY, CANARIES.of((NOON - 31 * DAY).date())], {}, 1, False),
        # A search that sees no canary read the wrong files, or none.
        ([], {}, 0, False),
        # A purge that was not complete is not proved, whatever the search says.
        ([TODAY], {"report": replace(REPORT, checkpoint=(1, 75, 0))}, 0, False),
        # A visit that a clock dated ahead would stay until that time comes.
        ([TODAY], {"report": replace(REPORT, ahead=1)}, 0, False),
        # A patron's first visit after a month may fall between the purge and the search.
        ([TODAY, OLD], {"came_again": frozenset({OLD})}, 0, True),
    ],
)
def test_what_is_proved(
    there: list[bytes], changes: dict[str, Any], residue: int, *, clean: bool
) -> None:
    """What is left is counted; only a whole purge and a search that sees are clean."""
    proof = proved(*there, **changes)

    assert (proof.residue, proof.clean) == (residue, clean)


def test_a_canary_that_a_hold_keeps_is_no_residue() -> None:
    """It may be there, as the visits of its day may."""
    held = CANARIES.of((NOON - 40 * DAY).date())
    proof = prove(
        REPORT,
        Moment(NOON, NOON, ClockState.TRUSTED),
        CANARIES,
        kept=frozenset({TODAY, held}),
        still_kept=lambda _traces: frozenset(),
        search=lambda needles: Found(needles & {TODAY, held}, 1, ()),
        trim=lambda: Trim.DONE,
    )

    assert (proof.residue, proof.canaries_seen, proof.clean) == (0, 2, True)


def test_canaries_are_of_the_key_and_the_day() -> None:
    """Each day of each installation has another one, and the day that is running is not expired."""
    days = [(NOON + number * DAY).date() for number in range(50)]
    others = Canaries(InstallationKey(b"o" * 32))

    assert len({CANARIES.of(day) for day in days} | {others.of(day) for day in days}) == 100
    assert len(CANARIES.expired(NOON)) == LOOKED_BACK.days
    assert CANARIES.of(NOON.date()) not in CANARIES.expired(NOON)
    assert CANARIES.of((NOON - DAY).date()) in CANARIES.expired(NOON)


def test_a_signed_report_is_told_from_a_changed_one() -> None:
    """It comes back as it was; no key bytes and no trace stand in it."""
    content = SIGNER.signed(proved(TODAY).as_dict())

    assert SIGNER.verified(content) == proved(TODAY).as_dict()
    assert KEY.reveal().hex().encode() not in content
    assert OLD.hex().encode() not in content
    with pytest.raises(InputError, match="signature"):
        ReportSigner(InstallationKey(b"o" * 32)).verified(content)


FIELDS = proved(TODAY, OLD).as_dict()


@given(st.sampled_from(sorted(FIELDS)), st.integers() | st.none() | st.text() | st.booleans())
def test_no_field_can_be_changed(name: str, value: Any) -> None:
    """Least of all the residue."""
    report = json.loads(SIGNER.signed(FIELDS))
    if report[name] == value and type(report[name]) is type(value):
        return
    report[name] = value

    with pytest.raises(InputError):
        SIGNER.verified(json.dumps(report).encode())


@given(st.binary(max_size=60) | st.sampled_from([b"[]", b"1", b"{}", b'{"format":"x"}']))
def test_anything_else_is_no_report(content: bytes) -> None:
    """One clear line, whatever it is."""
    with pytest.raises(InputError, match="no purge report"):
        SIGNER.verified(content)


@pytest.mark.parametrize("signature", [None, 5, "", "\ud800", "æ" * 64, "0" * 64])
def test_a_signature_that_is_none_is_wrong(signature: object) -> None:
    """Missing, of another type, of other letters or half a character: one line, no traceback."""
    report = {**FIELDS, "signature": signature}

    with pytest.raises(InputError, match="signature"):
        SIGNER.verified(json.dumps(report).encode())
