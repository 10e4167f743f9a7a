"""Ask a branch again that could not answer, a few times and ever later."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from doorctl.sync.branches import Away, Branch, Held, OutOfOrder, Parcel, Refused, Taken
from doorctl.sync.exchange import Exchanged

PAUSES_S = (1.0, 4.0, 15.0)
"""Outlasts a restart of the branch's web process; a longer absence is the next run's."""

LONGEST_PAUSE_S = 60.0
"""A branch that asks for more is tried again in the next run."""

AnswerT = TypeVar("AnswerT")


class PatientBranch:
    """A `Branch` that is asked up to four times.

    Args:
        branch: the impatient one.
        wait: lets so many seconds pass.
    """

    def __init__(self, branch: Branch, wait: Callable[[float], object]) -> None:
        self._branch = branch
        self._wait = wait

    @property
    def name(self) -> str:
        """The branch's id."""
        return self._branch.name

    def held(self) -> Held | Refused | Away:
        """Ask what it holds, again while it is away."""
        return self._insist(self._branch.held)

    def exchange(self, message: bytes) -> Exchanged | OutOfOrder | Refused | Away:
        """Tell it once: the next run tells it again."""
        return self._branch.exchange(message)

    def send(self, parcel: Parcel) -> Taken | OutOfOrder | Refused | Away:
        """Send a document, again while it is away: a second arrival changes nothing."""
        return self._insist(partial(self._branch.send, parcel))

    def _insist(self, ask: Callable[[], AnswerT]) -> AnswerT:
        answer = ask()
        for pause_s in PAUSES_S:
            if not isinstance(answer, Away) or answer.retry_after_s > LONGEST_PAUSE_S:
                break
            self._wait(max(pause_s, answer.retry_after_s))
            answer = ask()
        return answer
