"""An OSDP reader that is libosdp's own: given its key, used, opened, silent, with a wrong key."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import osdp_sys

from tests.fakes.osdp_peer import ANOTHER_KEY, OsdpPeer
from tests.install.sender import LOADED, PIN
from tests.pi.guest import Guest, until
from tests.pi.lines import LineFault, alarmed
from tests.pi.scenarios import RELEASE_S, SLACK_S, Result, length_s, let_in, settle

HEARD_AGAIN_S = 10.0
"""How soon a reader is heard that answers again or has its key again."""

CHANNEL_S = 60.0

CREDENTIAL = "$CREDENTIALS_DIRECTORY/reader.key"
READER = f'kind = "osdp"\nport = "/dev/ttyAMA0"\nosdp_key_file = "{CREDENTIAL}"'
KEYPAD = 'kind = "osdp"'

KEYING = """\
printf '[Service]\\nLoadCredential=reader.key:/etc/doorctl/reader.key\\n' \
  >/etc/systemd/system/doorctl-door.service.d/reader.conf
systemctl daemon-reload
CREDENTIALS_DIRECTORY=/etc/doorctl doorctl keys reader --install"""
"""As `doorctl setup` does it: the key is root's, and systemd hands it to the door."""


def osdp(guest: Guest, kernel: str) -> Iterator[Result]:
    """Put libosdp's own reader on the board's UART, give it a key, let somebody in, disturb it."""
    guest.trust_the_clock()
    peer = OsdpPeer(guest.keypad.fileno(), key=None, installing=True)
    try:
        with guest.other_lines(READER, KEYPAD, KEYING) as printed:
            keys = [command["data"] for command in peer.commanded(osdp_sys.CMD_KEYSET)]
            yield Result(
                "OSDP reader set up", kernel, printed.partition("\n")[0], "has a key", bool(keys)
            )
            if keys:
                peer.installing = False
                peer.restart(keys[-1])
                yield from used_and_disturbed(guest, kernel, peer)
    finally:
        peer.stop()


def state(guest: Guest) -> str:
    """Return what the door's log says last of the reader: ``connected`` or ``lost``."""
    return str(guest.logged("reader")[-1]["state"])


def used_and_disturbed(guest: Guest, kernel: str, peer: OsdpPeer) -> Iterator[Result]:
    """Let somebody in by a reader that has its key; take it, the line and the housing away."""

    def swipe(_guest: Guest) -> None:
        peer.swipe(LOADED.encode())
        time.sleep(0.8)
        peer.press(PIN)

    def heard(guest: Guest) -> None:
        until("the secure channel", lambda: peer.is_secure, CHANNEL_S)
        # Until the door has dropped what the reader held back while it was not asked.
        until("the reader to be heard", lambda: state(guest) == "connected", CHANNEL_S, 0.2)

    def visit(name: str) -> Result:
        lamps = len(peer.commanded(osdp_sys.CMD_LED))
        pulse = let_in(guest, swipe)
        settle(guest)
        on_s, lamps = length_s(guest, pulse), len(peer.commanded(osdp_sys.CMD_LED)) - lamps
        due = abs(on_s - RELEASE_S) < SLACK_S and lamps > 0
        seen = f"{on_s:.2f} s, {lamps} commands to its lamps"
        return Result(name, kernel, seen, f"{RELEASE_S:.1f} s, lamps", due)

    def restarted(**about: Any) -> Callable[[Guest], None]:
        def restart(guest: Guest) -> None:
            peer.restart(**about)
            swipe(guest)

        return restart

    def mended(guest: Guest) -> None:
        peer.restart(key, address=0)
        heard(guest)

    key = peer.key
    heard(guest)
    yield visit("OSDP card and PIN")
    for fault in (
        LineFault(
            "OSDP reader with another key", "reader_lost", restarted(key=ANOTHER_KEY), mended
        ),
        LineFault("OSDP reader that is silent", "reader_lost", restarted(address=1), mended),
        LineFault(
            "OSDP reader opened, then shut",
            "reader_tampered",
            lambda _guest: peer.tamper(tampered=True),
            lambda _guest: peer.tamper(tampered=False),
        ),
    ):
        yield alarmed(guest, kernel, fault, HEARD_AGAIN_S)
        yield visit("the same, mended")
