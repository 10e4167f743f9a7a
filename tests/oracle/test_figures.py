from __future__ import annotations

from random import Random

from tests.oracle.__main__ import NS_PER_MS, apart_ms, chance, rows


def durations(seed: int, shift: float = 0.0, n: int = 200) -> list[int]:
    """Return invented durations around a millisecond, in ns, with a long tail."""
    random = Random(seed)  # noqa: S311 - no secret
    return [round((0.5 + random.expovariate(2) + shift) * NS_PER_MS) for _ in range(n)]


def test_equal_samples_are_equal_by_chance_and_a_shift_is_not() -> None:
    """The test tells a millisecond's shift from noise, and calls no noise a shift."""
    assert chance(durations(1), durations(2)) > 0.01
    assert chance(durations(1), durations(1)) == 1.0
    assert chance(durations(1), durations(2, shift=1.0)) < 1e-6


def test_what_is_slow_for_a_whole_round_is_nobodys() -> None:
    """Rounds on a busy machine move all medians and part none of them; one way's own time does."""
    busy = [round(number % 7 * 10 * NS_PER_MS) for number in range(200)]
    taken = {
        name: [own + load for own, load in zip(durations(seed), busy, strict=True)]
        for seed, name in enumerate("abcdefgh")
    }
    assert apart_ms(rows(taken)) < 0.5

    taken["a"] = [duration + round(2 * NS_PER_MS) for duration in taken["a"]]

    assert 1.5 < apart_ms(rows(taken)) < 2.5
    assert max(rows(taken), key=lambda row: row.paired).name == "a"
