"""Kinds of `reader.kind` and `keypad.kind`: each has its keys, and those of others are refused."""

from __future__ import annotations

from typing import Any

import pytest

from doorctl.config.extras import find
from doorctl.config.rules import line_kinds_fit, ports_differ
from tests.config.conftest import RIGHT, Configured, Wrong


def values(**given: Any) -> dict[str, Any]:
    """Return values by full key, as ``reader_kind="usb"`` gives them, on those of serial lines."""
    default = {"kind": "serial", "baud": 9600, "data_bits": 8, "parity": "none", "stop_bits": 1}
    lines = {
        f"{line}.{leaf}": what for line in ("reader", "keypad") for leaf, what in default.items()
    }
    ports = {"reader.port": "/dev/a", "keypad.port": ""}
    return lines | ports | {name.replace("_", ".", 1): what for name, what in given.items()}


def told(**given: Any) -> list[str]:
    """Return what is wrong with these values."""
    found = values(**given)
    return [str(problem) for rule in (line_kinds_fit, ports_differ) for problem in rule(found)]


def useless(name: str, kind: str) -> str:
    """Return the line about a key of another kind."""
    beside = f'{name.partition(".")[0]}.kind = "{kind}"'
    return f"{name}: does nothing beside {beside}; leave it out"


@pytest.mark.parametrize(
    ("given", "problems"),
    [
        ({}, []),
        ({"reader_kind": "usb"}, []),
        ({"reader_kind": "osdp"}, []),
        ({"reader_kind": "osdp", "reader_baud": 38400}, []),
        ({"reader_kind": "osdp", "keypad_kind": "osdp"}, []),
        ({"keypad_kind": "usb", "keypad_port": "/dev/b"}, []),
        ({"reader_kind": "usb", "keypad_kind": "usb", "keypad_port": "/dev/b"}, []),
        ({"reader_baud": 1200, "reader_data_bits": 7, "keypad_parity": "even"}, []),
        (
            {"reader_kind": "usb", "reader_baud": 1200, "reader_parity": "odd"},
            [useless("reader.baud", "usb"), useless("reader.parity", "usb")],
        ),
        (
            {"reader_kind": "osdp", "reader_data_bits": 7, "reader_stop_bits": 2},
            [useless("reader.data_bits", "osdp"), useless("reader.stop_bits", "osdp")],
        ),
        (
            {"keypad_kind": "usb", "keypad_port": "/dev/b", "keypad_baud": 1200},
            [useless("keypad.baud", "usb")],
        ),
        (
            {"reader_kind": "osdp", "keypad_kind": "osdp", "keypad_port": "/dev/a"},
            [useless("keypad.port", "osdp")],
        ),
        (
            {"keypad_kind": "usb"},
            ['keypad.port: missing beside keypad.kind = "usb"; give it'],
        ),
        (
            {"keypad_kind": "osdp"},
            [
                (
                    'keypad.kind: found "osdp", which is the keypad of an OSDP reader; give '
                    'reader.kind = "osdp" too'
                )
            ],
        ),
        (
            {"reader_kind": "usb", "keypad_kind": "usb", "keypad_port": "/dev/a"},
            [
                (
                    'keypad.port: found "/dev/a", which is reader.port too; a USB device is '
                    "scanner or keypad, so give the keypad's own"
                )
            ],
        ),
        (
            {"keypad_port": "/dev/a"},
            [
                (
                    'keypad.port: found "/dev/a", which is reader.port too; give "" if the keys '
                    "come on the reader's line"
                )
            ],
        ),
    ],
)
def test_what_a_kind_has_and_what_it_has_not(given: dict[str, Any], problems: list[str]) -> None:
    """A key of another kind is refused by name; its default is no such key."""
    assert told(**given) == problems


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({}, True),
        ({"keypad_kind": "osdp"}, False),
        ({"keypad_port": "/dev/b"}, False),
        ({"policy_require_pin": False}, False),
        ({"panel_keypad": True}, False),
        ({"reader_kind": "serial"}, False),
    ],
)
def test_an_osdp_readers_own_keys_are_asked_for(given: dict[str, Any], *, wrong: bool) -> None:
    """They never come with its cards: without a keypad's line no PIN could be typed."""
    pytest.importorskip("doorctl.extras.osdp")
    osdp = {"reader_kind": "osdp", "policy_require_pin": True, "panel_keypad": False}
    rules = find("osdp").rules  # type: ignore[union-attr]

    found = [problem for rule in rules for problem in rule(values(**{**osdp, **given}))]
    assert [problem.where for problem in found] == ["keypad.kind"] * wrong


def test_a_line_is_serial_unless_another_kind_is_named(configured: Configured) -> None:
    """A file of today means what it meant; the keypad has a line where it has a port."""
    config = configured(RIGHT)
    wired = configured(RIGHT, "keypad.port=/dev/ttyUSB1")

    assert (config.reader.kind, config.keypad.kind) == ("serial", "serial")
    assert (config.has_keypad_line, wired.has_keypad_line) == (False, True)


@pytest.mark.parametrize("table", ["reader", "keypad"])
def test_a_kind_that_does_not_exist_is_one_line(wrong: Wrong, table: str) -> None:
    """The kinds are named."""
    assert wrong(RIGHT, f"{table}.kind=rs485") == [
        f'{table}.kind: found "rs485"; give one of "osdp", "serial", "usb", such as "serial"'
    ]
