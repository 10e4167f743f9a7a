"""The two synthetic stripes, invented numbers, and a caller that pulls as the door's loop does."""

import math
from collections.abc import Iterable

from doorctl.cards.reader import CardReader
from doorctl.core.readings import CardRead, CardUnreadable, KeyPressed, Reading, Shape
from tests.fakes.cards import cpr, plastic

TRACK_1 = b"DOE^JOHN JOHNNY                   ]L\\KKE ALLE 7 3                   4615000"
TRACK_2 = b"9208100401017023451041173083461010814"
TRACK_2_RANDERS = b"9208100401017023451041173082730010814"
TRACK_3 = b";01" + b"0123456789" * 10 + b"?"
"""As long as ISO 4909 lets it be, and with track 2's sentinel."""

STRIPE = b"%" + TRACK_1 + b"?;" + TRACK_2 + b"?"

PIN_LENGTH = 4
EARLY_S = 0.001


HEALTH_CARD = CardRead((cpr("0101702345"),))
PLASTIC_CARD = CardRead((plastic("3000001234"),))
GARBAGE = CardUnreadable(Shape.GARBAGE)
TOO_LONG = CardUnreadable(Shape.TOO_LONG)
CUT_OFF = CardUnreadable(Shape.CUT_OFF)
ONLY_TRACK_1 = CardUnreadable(Shape.ONLY_TRACK_1)
BAD_DATE = CardUnreadable(Shape.BAD_DATE)


def pressed(keys: str) -> list[Reading]:
    """Return the readings of `keys`."""
    return [KeyPressed(key) for key in keys]


class Caller:
    """Awaits a PIN after each card, until four keys came; notes all it is told."""

    def __init__(self, *, carries_keys: bool = False, awaiting_pin: bool = False) -> None:
        self.reader = CardReader(carries_keys=carries_keys)
        self.readings: list[Reading] = []
        self._keys_to_come = PIN_LENGTH if awaiting_pin else 0

    def receive(self, data: bytes, now_s: float) -> None:
        """Hand bytes over and pull."""
        self.reader.receive(data, now_s)
        self._pull()

    def pass_time(self, now_s: float) -> None:
        """Say what time it is and pull."""
        self.reader.pass_time(now_s)
        self._pull()

    def wait(self, until_s: float = math.inf) -> None:
        """Wake at every deadline, until none is left or it is later."""
        while (due_s := self.reader.deadline_s) is not None and due_s <= until_s:
            self.pass_time(due_s)

    def _pull(self) -> None:
        next_reading = self.reader.next_reading
        while (reading := next_reading(awaiting_pin=self._keys_to_come > 0)) is not None:
            self.readings.append(reading)
            if isinstance(reading, CardRead):
                self._keys_to_come = PIN_LENGTH
            elif isinstance(reading, KeyPressed):
                self._keys_to_come -= 1


def readings_of(
    *chunks: bytes, carries_keys: bool = False, awaiting_pin: bool = False
) -> list[Reading]:
    """Return all that is read of chunks that come at one moment, once every deadline has passed."""
    caller = Caller(carries_keys=carries_keys, awaiting_pin=awaiting_pin)
    for chunk in chunks:
        caller.receive(chunk, 0.0)
    caller.wait()
    return caller.readings


Timed = list[tuple[float, bytes]]
Told = list[tuple[float, Reading]]


def told_when(sent: Timed, caller: Caller) -> Told:
    """Return at which second what is told of bytes that come at theirs: at no deadline too early.

    Bytes that come at a deadline tell the time themselves.
    """
    noted: Told = []
    for now_s, data in [*sent, (60.0, b"")]:
        while (due_s := caller.reader.deadline_s) is not None and due_s < now_s:
            caller.pass_time(due_s - EARLY_S)
            assert len(caller.readings) == len(noted)
            caller.pass_time(due_s)
            noted += [(round(due_s, 6), reading) for reading in caller.readings[len(noted) :]]
        caller.receive(data, now_s)
        noted += [(round(now_s, 6), reading) for reading in caller.readings[len(noted) :]]
    assert caller.reader.deadline_s is None
    return noted


def byte_by_byte(data: bytes) -> Iterable[bytes]:
    """Cut `data` into its bytes."""
    return (bytes([byte]) for byte in data)
