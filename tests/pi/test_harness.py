"""The harness itself: which boots are begun again, what its pins say, its keys, and its table."""

from __future__ import annotations

import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from tests.install.pages import ROOT
from tests.pi.__main__ import BOOTS, as_table, living
from tests.pi.build import Parts
from tests.pi.guest import WITHOUT_LINES, emulator
from tests.pi.keyboards import PAD, SCANNER, strokes
from tests.pi.monitor import GPIO_BASE, WORDS, Pulse, Sample, driven_high, pulses
from tests.pi.scenarios import Result


@dataclass(frozen=True)
class Pi:
    """A boot that has gone well or not."""

    number: int
    dead: bool
    pulsed: bool

    def usb_is_dead(self) -> bool:
        """Tell whether the bus broke down."""
        return self.dead

    def has_pulsed(self) -> bool:
        """Tell whether the relay was ever on."""
        return self.pulsed


@pytest.mark.parametrize(
    ("dead", "pulsed", "given"),
    [
        ((False,), (False,), 0),
        ((True, False), (False, False), 1),
        ((True, True), (False, True), 1),
        ((True,) * BOOTS, (False,) * BOOTS, BOOTS - 1),
    ],
)
def test_the_first_boot_that_counts(
    dead: tuple[bool, ...], pulsed: tuple[bool, ...], given: int
) -> None:
    """A boot is begun again for the emulator's own fault only, and never hides a relay that moved.

    Each one before was told of and had its power cut.
    """
    cut: list[int] = []
    told: list[str] = []

    @contextmanager
    def start(number: int) -> Iterator[Pi]:
        yield Pi(number, dead[number], pulsed[number])
        cut.append(number)

    def booting(pi: Pi) -> list[Result]:
        return [Result(f"boot {pi.number}", "keeps", "", "", ok=not pi.dead)]

    with living(start, booting, told.append) as (pi, results):
        assert (pi.number, results[0].scenario) == (given, f"boot {given}")
        assert (cut, len(told)) == ([*range(given)], given)
    assert cut == [*range(given + 1)]


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


@pytest.mark.parametrize(
    ("number_block", "codes"), [(False, ["4", "0", "ret"]), (True, ["kp_4", "kp_0", "ret"])]
)
def test_each_key_goes_down_and_up(codes: list[str], *, number_block: bool) -> None:
    """A keypad's digits are those of the number block; a CR is Enter on both."""
    events = [event["data"] for event in strokes("40\r", number_block=number_block)]

    assert [(event["key"]["data"], event["down"]) for event in events] == [
        (code, down) for code in codes for down in (True, False)
    ]


def test_each_keyboard_has_a_screen_of_its_own() -> None:
    """QEMU hands keys to the keyboard of a screen that it was started with."""
    here = Path()
    words = emulator(Parts(here, here, here, here), here, "")
    devices = [after for word, after in pairwise(words) if word == "-device"]
    screens = {word for device in devices for word in device.split(",") if "-screen" in word}

    assert screens == {f"id={keyboard.device()['display']}" for keyboard in (SCANNER, PAD)}
    assert SCANNER.device()["port"] != PAD.device()["port"]


def test_other_lines_leave_the_rest_of_the_configuration() -> None:
    """The tables of reader and keypad go, with what stands in them, and nothing else does."""
    path = ROOT / "config/doorctl.toml"
    command = f"{WITHOUT_LINES} {path}"
    text = subprocess.run(["sh", "-c", command], check=True, capture_output=True, text=True).stdout
    whole = tomllib.loads(path.read_text(encoding="utf-8"))

    assert whole.pop("reader")
    assert whole.pop("keypad")
    assert tomllib.loads(text) == whole


def test_columns_stand_below_their_headings() -> None:
    """Each is as wide as its widest cell, and a row that failed says so."""
    rows = [Result("a", "keeps", "on for 3.00 s", "4.0 s", ok=True)]
    rows.append(Result("longer than that", "frees", "on", "4.0 s", ok=False))

    assert as_table(rows).splitlines() == [
        "scenario          kernel  seen           limit",
        "a                 keeps   on for 3.00 s  4.0 s  ok",
        "longer than that  frees   on             4.0 s  FAIL",
    ]
