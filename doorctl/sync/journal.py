"""Which pushes the audit log is owed: from just before their commit until they are on record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from doorctl.ports import Push
from doorctl.sync.manifest import Kind


@dataclass(frozen=True, slots=True)
class Applying:
    """A push that is about to be committed, or was.

    Args:
        epoch: its number.
        digest: of its rows.
        kind: see `Kind`.
        lines: rows and removals.
        approved_by: who let it past the guard; None for nobody.
    """

    epoch: int
    digest: str
    kind: Kind
    lines: int
    approved_by: str | None

    @property
    def push(self) -> Push:
        """Which push the cache holds once it is committed."""
        return Push(self.epoch, self.digest)


class Journal(Protocol):
    """Outlives the process, so that no push is committed and never put on record. One thread.

    Raises:
        StoreError: the disk failed; nothing was changed.
    """

    def begin(self, applying: Applying, held: Push) -> None:
        """Keep, durably, that a push is about to be committed.

        Args:
            applying: that push.
            held: the one that the cache holds before.
        """

    def owed(self, held: Push) -> tuple[Applying, ...]:
        """Return the pushes that were committed and are not on record, oldest first.

        Args:
            held: the push that the cache holds: what is about to be committed is told by it.
        """

    def noted(self, applying: Applying) -> None:
        """Forget a push that is on record, durably."""


class NoJournal:
    """A `Journal` that keeps nothing: whoever has no audit log owes it nothing."""

    def begin(self, applying: Applying, held: Push) -> None:
        """Keep nothing."""

    def owed(self, held: Push) -> tuple[Applying, ...]:  # noqa: ARG002 - a port's method
        """Return nothing."""
        return ()

    def noted(self, applying: Applying) -> None:
        """Forget nothing."""
