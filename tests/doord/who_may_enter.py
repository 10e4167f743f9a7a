"""The reference: who may enter, and what a guess costs, said once more in few words."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

OPENS, CLOSES = 8, 22
CACHE_GOOD_FOR = timedelta(hours=6)
STAFF_ONLY_AFTER = 10
WAIT_MS = {3: 30_000, 4: 120_000, 5: 600_000} | dict.fromkeys(range(6, 10), 3_600_000)


@dataclass(frozen=True)
class Row:
    """A patron of the register; `pin` is None while it is not known."""

    pin: str | None
    blocked: bool = False
    resident: bool = True


@dataclass
class Reference:
    """The register, and each card's failures in a row with the time of the latest.

    A card of `staff` comes in at any time by the PIN that the register has, whatever else that
    says.
    """

    register: dict[str, Row]
    pushed_at: datetime
    failures: dict[str, tuple[int, int]] = field(default_factory=dict)
    on_disk: dict[str, tuple[int, int]] = field(default_factory=dict)
    banned: set[str] = field(default_factory=set)
    staff: set[str] = field(default_factory=set)

    def count(self, card: str) -> int:
        """Return a card's failures in a row."""
        return self.failures.get(card, (0, 0))[0]

    def waits(self, card: str, now_ms: int) -> bool:
        """Tell whether even a right PIN opens nothing now."""
        count, at_ms = self.failures.get(card, (0, 0))
        return count >= STAFF_ONLY_AFTER or now_ms < at_ms + WAIT_MS.get(count, 0)

    def reason(self, card: str, pin: str, local: datetime, *, waits: bool) -> str:
        """Return how a visit ends."""
        row = self.register.get(card)
        refusals = {
            "unknown_card": row is None,
            "throttled": waits,
            "pin_unknown": row is not None and row.pin is None,
            "wrong_pin": row is not None and row.pin != pin,
            "banned": card in self.banned,
            "blocked": row is not None and row.blocked,
            "not_resident": row is not None and not row.resident,
            "closed": not OPENS <= local.hour < CLOSES,
            "cache_too_old": local - self.pushed_at > CACHE_GOOD_FOR,
        }
        told = next((reason for reason, holds in refusals.items() if holds), "ok")
        if card not in self.staff:
            return told
        if row is None:
            return "throttled" if waits else "pin_unknown"
        return "ok" if not waits and row.pin == pin and card not in self.banned else told

    def asks(self, card: str, reason: str, local: datetime) -> bool:
        """Tell whether the library system is asked, where there is one: its yes would open."""
        opens = OPENS <= local.hour < CLOSES or (card in self.staff and card not in self.banned)
        return reason in {"unknown_card", "pin_unknown"} and opens

    def end(self, card: str, reason: str, now_ms: int, *, stored: bool, silent: bool) -> None:
        """Count a guess; without a disk it lasts until the next restart.

        Where the library system alone could tell and is `silent`, nobody was told by it.
        """
        if silent:
            pass
        elif reason in {"unknown_card", "pin_unknown", "wrong_pin"}:
            self.failures[card] = (self.count(card) + 1, now_ms)
        elif reason not in {"pin_timeout", "fault"}:
            self.failures[card] = (0, 0)
        if stored:
            self.on_disk[card] = self.failures.get(card, (0, 0))

    def restart(self) -> None:
        """Forget what was never on disk."""
        self.failures = dict(self.on_disk)

    def reboot(self, now_ms: int) -> None:
        """Let each wait begin anew: how long the power was off is not known."""
        for counts in (self.failures, self.on_disk):
            counts.update({card: (count, now_ms) for card, (count, _) in counts.items()})
