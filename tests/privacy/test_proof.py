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
    LOOKED_BACK,
    Canaries,
    Found,
    Proof,
    PurgeReport,
    ReportSigner,
    Trim,
    prove,
)

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
DAY = timedelta(days=1)
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


@pytest.mark.parametrize("left", [OLD, CANARIES.of((NOON - 31 * DAY).date())])
def test_a_trace_that_is_left_is_counted(left: bytes) -> None:
    """A row key that was just deleted, or a canary of a day long ago that nobody stored."""
    proof = proved(TODAY, left)

    assert proof.residue == 1
    assert not proof.clean


def test_a_search_that_sees_no_canary_proves_nothing() -> None:
    """Then it read the wrong files, or none."""
    assert not proved().clean


def test_a_purge_that_was_not_complete_is_not_proved() -> None:
    """Whatever the search says."""
    assert not proved(TODAY, report=replace(REPORT, checkpoint=(1, 75, 0))).clean


def test_a_visit_that_lies_after_now_is_not_proved_to_go() -> None:
    """A clock that was ahead has dated it: it would stay until that time comes."""
    assert not proved(TODAY, report=replace(REPORT, ahead=1)).clean


def test_whoever_came_again_meanwhile_is_no_residue() -> None:
    """A patron's first visit after a month may fall between the purge and the search."""
    assert proved(TODAY, OLD, came_again=frozenset({OLD})).clean


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
