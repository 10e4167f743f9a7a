"""A branch that is asked what it holds and sent nothing."""

from __future__ import annotations

from doorctl.sync.branches import Away, Branch, Held, Parcel, Refused, Taken


class RehearsedBranch:
    """A `Branch` for a dry run: it takes whatever would be sent.

    Args:
        branch: the real one.
    """

    def __init__(self, branch: Branch) -> None:
        self._branch = branch

    @property
    def name(self) -> str:
        """The branch's id."""
        return self._branch.name

    def held(self) -> Held | Refused | Away:
        """Ask the real one."""
        return self._branch.held()

    def exchange(self, message: bytes) -> Away:  # noqa: ARG002 - the port's signature
        """Tell nothing."""
        return Away("nothing is told in a dry run")

    def send(self, parcel: Parcel) -> Taken:  # noqa: ARG002 - the port's signature
        """Send nothing."""
        return Taken(0)
