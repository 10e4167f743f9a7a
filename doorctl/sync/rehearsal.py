"""A branch that is asked what it holds and what it would say to a push, and changes nothing."""

from __future__ import annotations

from dataclasses import replace

from doorctl.sync.branches import Away, Branch, Held, OutOfOrder, Parcel, Refused, Taken


class RehearsedBranch:
    """A `Branch` for a dry run: the real one checks whatever would be sent, by its guard too.

    An older one, which takes no messages either, can't do that: it is sent nothing.

    Args:
        branch: the real one.
    """

    def __init__(self, branch: Branch) -> None:
        self._branch = branch
        self._rehearses = False

    @property
    def name(self) -> str:
        """The branch's id."""
        return self._branch.name

    def held(self) -> Held | Refused | Away:
        """Ask the real one."""
        held = self._branch.held()
        self._rehearses = isinstance(held, Held) and held.nonce is not None
        return held

    def exchange(self, message: bytes) -> Away:  # noqa: ARG002 - the port's signature
        """Tell nothing."""
        return Away("nothing is told in a dry run")

    def send(self, parcel: Parcel) -> Taken | OutOfOrder | Refused | Away:
        """Have it checked and not applied."""
        return self._branch.send(replace(parcel, rehearsed=True)) if self._rehearses else Taken(0)
