"""What a row says of the days ahead is what the door decides on each of them."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, date, datetime, time

from hypothesis import given

from doorctl.access.forecast import ENDING, SOON, WEEK, Before, forecast, loss
from doorctl.access.patron import DATED, Patron, Reason
from doorctl.access.policy import CHECKS, Case, PinProof, Policy, decide, findings
from doorctl.core.moments import ClockState, Moment
from tests.access.strategies import DAY, PATRONS, POLICIES, TODAY

OPEN = Patron("a", bytes(32), resident=True)
EVERY_DAY = (2 << SOON.days) - 1


def _case(patron: Patron, day: date) -> Case:
    noon = datetime.combine(day, time(12), UTC)
    return Case(patron, Moment(noon, noon, ClockState.TRUSTED), PinProof.PROVED)


@given(PATRONS, POLICIES)
def test_it_opens_on_the_days_on_which_the_door_opens(patron: Patron, policy: Policy) -> None:
    """With the right PIN, at noon, while the branch is open and nobody has banned the patron."""
    found = forecast(policy, patron, TODAY)

    opens = [
        decide(policy, _case(patron, TODAY + n * DAY)).reason is Reason.OK
        for n in range(SOON.days + 1)
    ]
    assert [bool(found.opens >> n & 1) for n in range(SOON.days + 1)] == opens
    assert found.opens_now == opens[0]
    assert found.opens_soon == any(opens[: WEEK.days + 1])


@given(PATRONS, POLICIES)
def test_it_names_what_the_door_refuses_by(patron: Patron, policy: Policy) -> None:
    """Each check on its days; and always those that refuse the row without its days too."""
    counted = {check.name: check.by_row for check in CHECKS}

    def refusals(row: Patron, day: date) -> set[str]:
        found = findings(policy, _case(row, day))
        return {counted[each.check] for each in found if each.refused_with is not None}

    found = forecast(policy, patron, TODAY)
    for n in range(SOON.days + 1):
        named = {name for name, days in found.refused.items() if days >> n & 1}
        assert named == refusals(patron, TODAY + n * DAY)
    dateless = replace(patron, enter_from=None, valid_until=None, hold_from=None, hold_until=None)
    assert found.always == refusals(dateless, TODAY)


@given(PATRONS, POLICIES)
def test_neither_number_nor_pin_says_anything(patron: Patron, policy: Policy) -> None:
    """The guard asks once for all rows that are alike but for these."""
    other = replace(patron, patron_ref="b", pin_check=None)
    assert forecast(policy, other, TODAY) == forecast(policy, patron, TODAY)


def test_each_day_of_a_row_is_known() -> None:
    """A check by a day that is not among these would be asked on the wrong days."""
    days = {field.name for field in fields(Patron) if "date" in str(field.type)}
    # The end of a learnt PIN check is no push's.
    assert {*DATED} == days - {"pin_until"}


def test_the_same_is_counted_under_one_name() -> None:
    """No two checks share a name, and those by more than the row have none."""
    names = [check.by_row for check in CHECKS if check.by_row]
    assert len({*names}) == len(names) == 7


def _lost(since: int, opened: int, now: Patron | None, policy: Policy | None = None) -> object:
    rules = policy or Policy()
    before = Before(TODAY - since * DAY, opened, OPEN.pin_check)
    found = None if now is None else forecast(rules, now, TODAY)
    check = None if now is None else now.pin_check
    lost = loss(rules, before, found, check, TODAY)
    return " ".join(lost.reasons), (lost.until - TODAY).days


def test_what_is_lost_counts_until_its_last_day() -> None:
    """What no day ends counts for the week; a day on which the card would not have opened never."""
    ended, ends = replace(OPEN, valid_until=TODAY - DAY), replace(OPEN, valid_until=TODAY + 3 * DAY)
    held = replace(OPEN, hold_from=TODAY - DAY, hold_until=TODAY + DAY)
    other, none = replace(OPEN, pin_check=bytes(range(32))), replace(OPEN, pin_check=None)
    three_days = 0b111

    assert _lost(0, EVERY_DAY, OPEN) == ("", 7)
    assert _lost(2, EVERY_DAY, None) == ("removed", 5)
    assert _lost(2, EVERY_DAY, replace(OPEN, resident=False)) == ("newly_non_resident", 5)
    assert _lost(5, three_days, replace(OPEN, resident=False)) == ("newly_non_resident", 2)
    assert _lost(0, EVERY_DAY, ended) == ("newly_expired", 7)
    assert _lost(0, three_days, ended) == ("newly_expired", 2)
    assert _lost(2, three_days, ended) == ("newly_expired", 0)
    assert _lost(3, three_days, ended) == ("", 4)
    assert _lost(0, EVERY_DAY, held) == ("newly_expired", 1)
    assert _lost(0, EVERY_DAY, replace(held, resident=False)) == (
        "newly_expired newly_non_resident",
        1,
    )
    assert _lost(0, three_days, ends) == ("", 7)
    assert _lost(-1, EVERY_DAY, held) == ("newly_expired", 0)
    assert _lost(0, EVERY_DAY, other) == ("pins_changed", 7)
    assert _lost(0, EVERY_DAY, none) == ("pins_lost", 7)
    assert _lost(0, EVERY_DAY, none, Policy(require_pin=False)) == ("", 7)


def test_an_end_beyond_the_week_is_told_and_shuts_nobody_out() -> None:
    """From the eighth day on; it counts as such for as long as its days are ahead."""
    for first, expected in ((7, "newly_expired"), (8, ENDING), (60, ENDING), (61, "")):
        row = replace(OPEN, valid_until=TODAY + (first - 1) * DAY)
        assert _lost(0, EVERY_DAY, row) == (expected, 7)
