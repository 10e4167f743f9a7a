from __future__ import annotations

from doorctl.accounts.account import AT_ONCE, MOST, REFILL_S, Refusals


def test_the_first_ones_are_on_record_and_then_one_an_hour() -> None:
    """Whoever asks all day leaves a few entries, and the next one tells how many were left out."""
    refusals = Refusals()
    first = [refusals.due("kaj", 0.0) for _ in range(AT_ONCE + 3)]
    later = [refusals.due("kaj", REFILL_S), refusals.due("kaj", REFILL_S + 1)]

    assert first == [0] * AT_ONCE + [None] * 3
    assert later == [3, None]
    day = [refusals.due("kaj", REFILL_S + second) for second in range(2, 24 * 3600)]
    assert sum(one is not None for one in day) == 23


def test_after_a_quiet_night_there_is_room_again() -> None:
    """For as many as at first, and not for more."""
    refusals = Refusals()
    for _ in range(AT_ONCE):
        refusals.due("kaj", 0.0)
    again = [refusals.due("kaj", 1000 * REFILL_S) for _ in range(AT_ONCE + 1)]

    assert again == [0] * AT_ONCE + [None]


def test_nobody_is_hidden_behind_somebody_elses_refusals() -> None:
    """Each account has its own first ones."""
    refusals = Refusals()
    for _ in range(AT_ONCE + 1):
        refusals.due("kaj", 0.0)

    assert refusals.due("grethe", 0.0) == 0


def test_only_so_many_accounts_are_counted() -> None:
    """A whole municipality that may sign in fills no memory."""
    refusals = Refusals()
    for _ in range(AT_ONCE + 1):
        refusals.due("kaj", 0.0)
        refusals.due("grethe", 0.0)
    for number in range(MOST - 1):
        refusals.due(f"name-{number}", 0.0)

    assert len(refusals._of) == MOST  # noqa: SLF001 - what is kept shows nowhere else
    assert refusals.due("grethe", 0.0) is None
    assert refusals.due("kaj", 0.0) == 0
