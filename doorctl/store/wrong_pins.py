"""Wrong PINs of cards and patrons, and the throttles: their SQL, and rows as values.

A patron's wrong PINs are forgotten by no right PIN. A row is charged before its PIN is compared and
goes again unless the PIN was wrong. It holds its day and no more; a patron's holds no card, but two
bytes that tell the patron's cards apart. The patron's number is the same at all branches.
"""

from __future__ import annotations

from collections.abc import Sequence

from doorctl.access.throttle import CardThrottle, ReaderThrottle
from doorctl.core.moments import BootTime

# 0.2 did not keep at which card: its rows count at each of the patron's.
COUNT_WRONG_PINS_BY = """
    SELECT count(*) FROM wrong_pins
    WHERE row_key = ? OR patron_ref = ? AND (at_card IS NULL OR at_card = ?)
"""

COUNT_WRONG_PINS = "SELECT count(*) FROM wrong_pins WHERE row_key = ? OR patron_ref = ?"

TAKE_BACK_WRONG_PIN = "DELETE FROM wrong_pins WHERE attempt = ?"

MANY_WRONG_PINS = """
    SELECT patron_ref, count(*) AS wrong FROM wrong_pins WHERE patron_ref IS NOT NULL
    GROUP BY patron_ref HAVING wrong >= ? ORDER BY wrong DESC LIMIT ?
"""

THROTTLE = "SELECT failures, boot_id, boot_ms FROM throttles WHERE row_key = ?"

READER = "SELECT spent_ms, boot_id, boot_ms FROM reader"


def at_card(row_key: bytes) -> int:
    """Return what tells a patron's cards apart in the count: two bytes, which name no card."""
    return int.from_bytes(row_key[-2:])


def to_boot(boot_id: str | None, ms: int | None) -> BootTime | None:
    """Return the boot time of two columns, None where they are empty."""
    return None if boot_id is None or ms is None else BootTime(boot_id, ms)


def to_bucket(records: Sequence[tuple[int, str, int]]) -> ReaderThrottle:
    """Return the bucket of the records of :data:`READER`; no record is a full one."""
    if not records:
        return ReaderThrottle()
    spent_ms, boot_id, boot_ms = records[0]
    return ReaderThrottle(spent_ms, to_boot(boot_id, boot_ms))


def to_throttle(record: tuple[int, str | None, int | None] | None) -> CardThrottle:
    """Return the throttle of a record of :data:`THROTTLE`; no record is no failure."""
    if record is None:
        return CardThrottle()
    failures, boot_id, boot_ms = record
    return CardThrottle(failures, to_boot(boot_id, boot_ms))
