"""What a typed PIN proves: the patron's, the pass's own, or either of them under duress.

The work is the same whatever is known of a card: every HMAC is computed and every compare is
made, with nothing where there is nothing to compare with.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from doorctl.access.messages import Prepared
from doorctl.access.patron import PIN_CHECK_BYTES, pin_check
from doorctl.access.policy import PinProof, knows_pin
from doorctl.masked import Pin, StretchedKey
from doorctl.moments import Moment

NO_PIN = bytes(PIN_CHECK_BYTES)
"""Compared with where there is nothing to compare with, so that the work is the same."""


@dataclass(frozen=True, slots=True)
class Proofs:
    """What is known of a PIN.

    Args:
        patron: whether it is the patron's.
        held: whether it is what the pass asks for; without a pass or a PIN of its own, as
            `patron`.
        duress: whether all that it proves it proves by a last digit that is one higher.
    """

    patron: PinProof
    held: PinProof
    duress: bool = False


@dataclass(frozen=True, slots=True)
class _Answer:
    proof: PinProof
    forced: bool = False


def proofs(prepared: Prepared, pin: Pin | None, moment: Moment, *, duress: bool) -> Proofs:
    """Return what a PIN proves; `pin` is None where none was given.

    What the library system calls right is the PIN as typed, so it is never taken for duress.

    Args:
        prepared: with the row that counts, the cache's or a lent one.
        pin: as typed; one digit at least.
        moment: now, for how long a learnt PIN counts.
        duress: whether the PIN one higher counts; then each card costs a second HMAC.
    """
    checks = () if pin is None else _checks(prepared.stretched, pin, duress=duress)
    row, held = prepared.patron, prepared.held
    known = row.pin_check if row is not None and knows_pin(row, moment) else None
    patron = _compared(checks, known)
    own = _compared(checks, None if held is None else held.pin_check)
    if prepared.proved:
        patron = _Answer(PinProof.PROVED)
    if held is None or held.pin_check is None:
        own = patron
    if prepared.by_code and held is not None and not held.needs_pin:
        # Name and secret in one: who types it has proved it.
        own = _Answer(PinProof.PROVED)
    proved = [answer.forced for answer in (patron, own) if answer.proof is PinProof.PROVED]
    return Proofs(patron.proof, own.proof, duress=bool(proved) and all(proved))


def _checks(stretched: StretchedKey, pin: Pin, *, duress: bool) -> tuple[bytes, ...]:
    typed = pin_check(stretched, pin)
    return (typed, pin_check(stretched, one_lower(pin))) if duress else (typed,)


def one_lower(pin: Pin) -> Pin:
    """Return the PIN of which this one is the PIN under duress: 4719 -> 4718, 4710 -> 4719."""
    digits = pin.reveal()
    return Pin(f"{digits[:-1]}{(int(digits[-1]) - 1) % 10}")


def _compared(checks: tuple[bytes, ...], known: bytes | None) -> _Answer:
    matches = [hmac.compare_digest(check, known or NO_PIN) for check in checks]
    if not checks:
        return _Answer(PinProof.NOT_GIVEN)
    if known is None:
        return _Answer(PinProof.UNKNOWN)
    return _Answer(PinProof.PROVED if any(matches) else PinProof.WRONG, forced=not matches[0])
