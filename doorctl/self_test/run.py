"""The table of checks, and the one place where it is used."""

from __future__ import annotations

from dataclasses import dataclass

from doorctl.errors import DoorctlError
from doorctl.self_test import premises, visitor
from doorctl.self_test.findings import Finding
from doorctl.self_test.house import Answer, Ask, House, Seen, look


@dataclass(frozen=True, slots=True)
class Check:
    """One row of the table.

    Args:
        name: fixed, for scripts.
        ask: returns None where there is nothing to ask: no keypad, no PIN, or what it needs is
            missing, which another check tells.
        do: what to do where it fails.
    """

    name: str
    ask: Ask
    do: str


_PUSH = "On the library's server: doorctl sync push --full; by hand: doorctl patrons load --full."
_OURS = "This is a fault of doorctl's: install the release before this one and report it."

CHECKS = (
    Check("card", visitor.card, _OURS),
    Check("seal", visitor.seal, _OURS),
    Check("right_pin", visitor.right_pin, "Compare [policy] and [hours] with what is meant."),
    Check("wrong_pin", visitor.wrong_pin, f"Take the door out of self-service. {_OURS}"),
    Check("blocked", visitor.blocked, f"Take the door out of self-service. {_OURS}"),
    Check("strike", visitor.strike, f"Take the door out of self-service. {_OURS}"),
    Check("door", premises.door, "Start it: systemctl restart doorctl-door; read its journal."),
    Check("reader", premises.line("reader"), "Look at the reader's cable and at reader.port."),
    Check("keypad", premises.line("keypad"), "Look at the keypad's cable and at keypad.port."),
    Check("relay", premises.relay, "Do so before the door is used; systemd/README.md says why."),
    Check("register", premises.register, _PUSH),
    Check("register_filled", premises.register_filled, _PUSH),
    Check("register_age", premises.register_age, f"Look why no push comes. {_PUSH}"),
    Check("register_limit", premises.register_limit, _PUSH),
    Check("register_stranger", premises.register_stranger, "Remove that person from the export."),
    Check("clock", premises.clock, "Give it a time server or a battery clock: timedatectl."),
    Check(
        "hours", premises.hours, "Look at [hours], at the staff page and at the website's hours."
    ),
    Check("visit_log", premises.visit_log, "Look at the disk; restart the door if it is well."),
    Check(
        "disk",
        premises.disk_space,
        "Remove what is not doorctl's from the disk: du -xh / | sort -h.",
    ),
    Check("disk_writable", premises.disk_writable, "The card may be worn out: dmesg; replace it."),
    Check("purge", premises.purge, "Run doorctl purge and do what it says."),
)
"""What is asked, in this order: first the patron's way, then the house."""


def run(house: House) -> tuple[Finding, ...]:
    """Ask every check, in order; those that have nothing to ask are left out.

    Takes two stretches of the sealer, some 0.6 s on the smallest Pi. A fault that a port tells of
    is a finding, never an exception.
    """
    seen = look(house)
    found = (_ask(check, house, seen) for check in CHECKS)
    return tuple(finding for finding in found if finding is not None)


def _ask(check: Check, house: House, seen: Seen) -> Finding | None:
    try:
        answer = check.ask(house, seen)
    except DoorctlError as err:
        answer = Answer(ok=False, what=f"{err}.")
    if answer is None:
        return None
    return Finding(check.name, answer.ok, answer.what, "" if answer.ok else check.do)
