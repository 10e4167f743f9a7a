"""The guard of a push: an export that went wrong must not lock the town out."""

from __future__ import annotations

from dataclasses import dataclass

from doorctl.core.errors import InputError, PushGuardedError
from doorctl.ports import Changes, Guard, Push
from doorctl.sync.document import Kind

FLOOR = 10
"""So many identifiers may always be shut out: in a small branch 5 % is one family."""

SHARE_PERCENT = 5.0
"""More of the register than this is not shut out in a week by anything but a mistake (design)."""


LONGEST_NAME = 64
"""Characters of an approver's name; a manifest takes no longer one."""


def guard(max_percent: float = SHARE_PERCENT, floor: int = FLOOR) -> Guard:
    """Return a guard that refuses to shut out more than a share of the register and a floor.

    Each card shut out counts once, for whatever reason, together with those that the pushes of
    the last seven days have shut out. As many cards let in at once are let in, with a warning.

    Args:
        max_percent: of the identifiers held before, 0-100.
        floor: identifiers that are never too many.
    """

    def refuse(changes: Changes) -> str | None:
        def too_many(count: int) -> bool:
            return count > floor and count * 100 > max_percent * changes.held

        if too_many(changes.shut_out):
            raise PushGuardedError(
                f"with the pushes of seven days it would shut out {changes.shut_out} of "
                f"{changes.held} cards ({_reasons(changes)}), more than {max_percent:g} % and more "
                f"than {floor}; nothing was changed; look at the export; if it is right, do it "
                "once more with --approved-by"
            )
        if too_many(changes.let_in):
            return f"it lets in {changes.let_in} of {changes.held} cards that were kept out"
        return None

    return refuse


def _reasons(changes: Changes) -> str:
    reasons = (
        (changes.removed, "removed"),
        (changes.newly_blocked, "blocked"),
        (changes.newly_non_resident, "not resident"),
        (changes.newly_expired, "expired, inactive or on hold, now or within a week"),
        (changes.newly_under_age, "too young"),
        (changes.newly_restricted, "restricted"),
        (changes.newly_weak, "with a weak PIN"),
        (changes.pins_lost, "without a PIN"),
        (changes.pins_changed, "with another PIN"),
    )
    return "; ".join(f"{count} {what}" for count, what in reasons if count)


def unguarded(_changes: Changes) -> None:
    """Let everything pass: a named person has approved it."""


def refuse_odd_name(name: str | None) -> None:
    """Refuse an approval without a proper name, by InputError; None is no approval.

    A name is not empty nor too long, is printable, and neither begins nor ends with a blank.
    """
    if name is not None and not (
        name.isprintable() and name == name.strip() and 0 < len(name) <= LONGEST_NAME
    ):
        raise InputError(f"--approved-by takes a name of 1 to {LONGEST_NAME} letters")


# Pushes that the audit log must still record: from just before their commit until they are in it.


@dataclass(frozen=True, slots=True)
class Applying:
    """A push that is about to be committed, or was."""

    epoch: int
    digest: str
    kind: Kind
    lines: int
    approved_by: str | None

    @property
    def push(self) -> Push:
        """The push that the cache holds once this is committed."""
        return Push(self.epoch, self.digest)
