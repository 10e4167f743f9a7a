"""Canaries: one row a day that is no visit. A purge has worked if the old ones are gone.

Each is derived from the installation key and the date. So none has to be stored elsewhere, and a
thief of the disk can't tell it from a card's row key.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from datetime import date, datetime, timedelta

from doorctl.core.masked import InstallationKey

CANARY_BYTES = 16
"""As long as a row key."""

LOOKED_BACK = timedelta(days=400)
"""How far back expired canaries are looked for: a branch may have been shut for a year."""

_ONE_DAY = timedelta(days=1)


class Canaries:
    """Derive canaries: ``HMAC-SHA256(HMAC-SHA256(key, "canary"), "2026-05-04")``, cut.

    The installation key is not kept.
    """

    def __init__(self, key: InstallationKey) -> None:
        self._key = InstallationKey(hmac.digest(key.reveal(), b"canary", "sha256"))

    def of(self, day: date) -> bytes:
        """Return a UTC day's canary."""
        text = day.isoformat().encode()
        return hmac.digest(self._key.reveal(), text, "sha256")[:CANARY_BYTES]

    def expired(self, cutoff: datetime) -> frozenset[bytes]:
        """Return those of the days that ended before a UTC time, :data:`LOOKED_BACK` at most.

        A hold may still keep some of them.
        """
        return frozenset(map(self.of, _days_before(cutoff.date())))


def _days_before(day: date) -> Iterator[date]:
    for back in range(1, LOOKED_BACK.days + 1):
        yield day - back * _ONE_DAY
