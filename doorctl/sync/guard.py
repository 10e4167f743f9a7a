"""The guard of a push: an export that went wrong must not lock the town out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from doorctl.access.forecast import PIN_CHANGED, PIN_LOST, REMOVED, SOON
from doorctl.core.errors import PushGuardedError

FLOOR = 10
"""This many identifiers may always be shut out: in a small branch 5 % is one family. Never more
than half of the register, so that no push empties a branch of a few cards."""

SHARE_PERCENT = 5.0
"""A larger share of the register is shut out in a week only by mistake (design)."""

MOST_CARDS = 8
"""A person has a CPR number and some cards, old ones too; only an institution has more."""


def guard(max_percent: float = SHARE_PERCENT, floor: int = FLOOR) -> Guard:
    """Return a guard that refuses to shut out more than a share of the register and a floor.

    Each card shut out counts once, for whatever reason, together with those that the pushes of
    the last seven days have shut out. As many cards put under patrons of more than `MOST_CARDS`
    are refused too, and so is one such patron who grows beyond that: wrong PINs and bans count by
    patron, so 20 wrong PINs of strangers would shut all of these cards out.

    What shuts no card out yet is applied with a warning: as many cards let in, newly ending within
    `SOON`, or under another patron, for whom wrong PINs count from zero; and any patron who newly
    has more than `MOST_CARDS`.
    """

    def judge_changes(changes: Changes) -> dict[str, str]:
        most = min(floor, changes.held // 2)

        def too_many(count: int) -> bool:
            return count > most and count * 100 > max_percent * changes.held

        limits = f"more than {max_percent:g} % and more than {most}"
        if too_many(changes.shut_out):
            raise PushGuardedError(
                f"with the pushes of seven days it would shut out {changes.shut_out} of "
                f"{changes.held} cards ({_reasons(changes)}), {limits}; {_APPROVE}"
            )
        if too_many(max(changes.crowded, changes.largest)):
            raise PushGuardedError(
                f"it would put {changes.crowded} cards more under patrons of more than "
                f"{MOST_CARDS} cards, {changes.largest} of {changes.held} under one, {limits}; one "
                f"patron's wrong PINs or ban would shut them all out; {_APPROVE}"
            )
        ends = changes.ending_now > 0 and too_many(changes.shut_out + changes.ending)
        unusual = _unusual(changes, ends=ends, moves=too_many(changes.moved))
        lets_in = f"it lets in {changes.let_in} of {changes.held} cards that were kept out"
        warnings = {
            "push_widened": lets_in if too_many(changes.let_in) else "",
            "push_unusual": "; ".join(unusual),
        }
        return {kind: why for kind, why in warnings.items() if why}

    return judge_changes


_APPROVE = (
    "nothing was changed; look at the export; if it is right, do it once more with --approved-by"
)


def _unusual(changes: Changes, *, ends: bool, moves: bool) -> Iterator[str]:
    if ends:
        yield (
            f"with the pushes of seven days {changes.ending} of {changes.held} cards newly end or "
            f"go on hold within {SOON.days} days, besides {changes.shut_out} that are shut out"
        )
    if moves:
        yield f"it puts {changes.moved} of {changes.held} cards under another patron"
    if changes.crowded:
        yield (
            f"it puts {changes.crowded} cards more under patrons of more than {MOST_CARDS} cards, "
            f"{changes.largest} under one"
        )


_WORDS = {
    REMOVED: "removed",
    "newly_blocked": "blocked",
    "newly_non_resident": "not resident",
    "newly_expired": "expired, inactive or on hold, now or within a week",
    "newly_under_age": "too young",
    "newly_untagged": "without a tag that is required",
    "newly_restricted": "restricted",
    "newly_weak": "with a weak PIN",
    PIN_LOST: "without a PIN",
    PIN_CHANGED: "with another PIN",
}
"""What a refusal says first, and in which words; a check that is not here stands by its name."""


def _reasons(changes: Changes) -> str:
    others = [reason for reason in changes.reasons if reason not in _WORDS]
    return "; ".join(
        f"{changes.reasons[reason]} {_WORDS.get(reason, reason.replace('_', ' '))}"
        for reason in (*_WORDS, *others)
        if changes.reasons.get(reason)
    )


def unguarded(_changes: Changes) -> None:
    """Let everything pass: a named person has approved it."""


@dataclass(frozen=True, slots=True)
class Changes:
    """The identifiers that a push is about to shut out, together with the pushes of a week.

    A row *opens* on a day where nothing in the row itself refuses then, by the branch's rules. An
    identifier that opened, and by a push of the last seven days does not on the very day of this
    push or one of the seven days after it, counts once as `shut_out` and under each reason that it
    gives now; as long as it was not approved and no push has put it right again.

    Args:
        held: how many were held, with those that were removed within the week; if none, how many
            it brings.
        shut_out: how many opened before and don't, are not held, or ask for another PIN.
        reasons: how many of them for which reason: `Check.by_row`, or one of `forecast`.
        let_in: how many were held and did not open, and do so by this push alone.
        ending: how many are not shut out, and by the pushes of seven days end or are on hold on a
            day of the next 60 on which they opened; `ending_now` of them by this one first.
        moved: how many this push puts under another `patron_ref`.
        crowded: how many cards more the patrons of more than 8 cards have by this push.
        largest: the cards of the largest of the patrons for whom that is so; 0 for none.
    """

    held: int
    shut_out: int = 0
    let_in: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    ending: int = 0
    ending_now: int = 0
    moved: int = 0
    crowded: int = 0
    largest: int = 0


Guard = Callable[[Changes], Mapping[str, str] | None]
"""Raises `PushGuardedError` where the changes are not credible. Returns the alarms about credible
ones that staff must read, kind -> why; None for none."""
