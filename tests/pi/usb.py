"""A USB scanner and a USB keypad, plugged in, used, pulled and put back."""

from __future__ import annotations

import time
from collections.abc import Iterator

from tests.install.sender import LOADED, PIN
from tests.pi.guest import PLUGGED_S, Guest
from tests.pi.keyboards import PAD, SCANNER
from tests.pi.lines import LineFault, alarmed
from tests.pi.scenarios import RELEASE_S, SLACK_S, Result, length_s, let_in, opens, settle

READY_S = 1.0
"""How soon a scanner reads that was plugged in, after its node is there."""

REPLUGS = 5

READER = f'kind = "usb"\nport = "{SCANNER.node}"'
KEYPAD = f'kind = "usb"\nport = "{PAD.node}"'


def usb(guest: Guest, kernel: str) -> Iterator[Result]:
    """Plug a scanner and a keypad in, let somebody in by them, pull the scanner and put it back."""
    guest.trust_the_clock()
    for keyboard in (SCANNER, PAD):
        guest.plug(keyboard)
    with guest.other_lines(READER, KEYPAD):
        heard = guest.start(f"timeout 10 head -c 24 {SCANNER.node} | wc -c")
        pulse = let_in(guest, scan)
        bytes_heard = heard()
        settle(guest)
        on_s = length_s(guest, pulse)
        due = abs(on_s - RELEASE_S) < SLACK_S
        yield Result("USB scanner and keypad", kernel, f"{on_s:.2f} s", f"{RELEASE_S:.1f} s", due)
        seen, grabbed = f"{bytes_heard} bytes", bytes_heard == "0"
        yield Result("somebody else listens to the scanner", kernel, seen, "0 bytes", grabbed)
        away = LineFault("USB scanner away for long", "reader_lost", pull, put_back)
        yield alarmed(guest, kernel, away, PLUGGED_S)
        before = len(guest.decisions())
        opened = sum(opens_after_replug(guest) for _ in range(REPLUGS))
        seen = f"{opened} of {REPLUGS} swipes {READY_S:.0f} s after its node open"
        reasons = {decision["reason"] for decision in guest.decisions()[before:]} - {"ok"}
        seen += f"; refused: {' '.join(sorted(reasons))}" if reasons else ""
        yield Result("USB scanner put back", kernel, seen, "all open", opened == REPLUGS)
    for keyboard in (SCANNER, PAD):
        guest.unplug(keyboard)


def scan(guest: Guest) -> None:
    """Hold a card before the scanner, and type its PIN."""
    guest.type(SCANNER, f"{LOADED}\r")
    time.sleep(0.8)
    guest.type(PAD, PIN)


def pull(guest: Guest) -> None:
    """Pull the scanner."""
    guest.unplug(SCANNER)


def put_back(guest: Guest) -> None:
    """Put the scanner back."""
    guest.plug(SCANNER)


def opens_after_replug(guest: Guest) -> bool:
    """Pull the scanner, put it back, and tell whether a card opens as soon as it has to."""
    pull(guest)
    put_back(guest)
    time.sleep(READY_S)
    opened = opens(guest, scan)
    settle(guest)
    return opened
