"""The registers are read as the chip's manual has them, and pulses are told apart."""

from __future__ import annotations

import pytest

from tests.pi.pins import GPIO_BASE, WORDS, Pulse, Sample, driven_high, pulses


def dump(**words: int) -> str:
    """Return the monitor's answer for some words, such as ``w1=8``; the others are 0."""
    values = [words.get(f"w{number}", 0) for number in range(WORDS)]
    rows = (values[at : at + 4] for at in range(0, WORDS, 4))
    return "\r\n".join(
        f"{GPIO_BASE + 16 * at:016x}: {' '.join(f'0x{value:08x}' for value in row)}"
        for at, row in enumerate(rows)
    )


@pytest.mark.parametrize(
    ("function", "level", "high"), [(1, 1, True), (1, 0, False), (0, 1, False), (4, 1, False)]
)
def test_a_pin_is_on_only_as_an_output_that_is_high(
    function: int, level: int, *, high: bool
) -> None:
    """A freed line keeps its latch in QEMU; as an input, or for another function, it is off."""
    assert driven_high(dump(w1=function << 21, w13=level << 17), 17) is high


@pytest.mark.parametrize("pin", [0, 9, 10, 17, 27])
def test_other_pins_do_not_count(pin: int) -> None:
    """All others as high outputs leave this one what it is."""
    select, place = divmod(pin, 10)
    words = {f"w{number}": 0x09249249 for number in range(3)} | {"w13": 0x0FFFFFFF & ~(1 << pin)}

    assert not driven_high(dump(**words), pin)
    words["w13"] |= 1 << pin
    assert driven_high(dump(**words), pin)
    words[f"w{select}"] &= ~(0b111 << 3 * place)
    assert not driven_high(dump(**words), pin)


@pytest.mark.parametrize("text", ["", "Cannot access memory", dump().replace("0x", "", 1)])
def test_any_other_answer_is_an_error(text: str) -> None:
    """A monitor that says something else must not read as a relay that is off."""
    with pytest.raises(ValueError, match="words"):
        driven_high(text, 17)


def test_pulses_are_the_times_between_the_edges() -> None:
    """In order; the last may go on, and is as long as it is by now."""
    samples = [Sample(at_s, high) for at_s, high in ((0, False), (1, True), (4, False), (6, True))]
    found = list(pulses(samples))

    assert found == [Pulse(1, 4), Pulse(6, None)]
    assert [one.length_s(8) for one in found] == [3, 2]
    assert list(pulses([])) == []
