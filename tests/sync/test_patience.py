from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from typing import BinaryIO

import pytest

from doorctl.sync.delivery import (
    PAUSES_S,
    Away,
    Held,
    OutOfOrder,
    Refused,
    Taken,
    insist,
)

CONTENT = BytesIO(b"")


@dataclass
class Scripted:
    """A branch that gives its answers one after the other."""

    held_answers: list[Held | Refused | Away] = field(default_factory=list)
    send_answers: list[Taken | OutOfOrder | Refused | Away] = field(default_factory=list)

    def held(self) -> Held | Refused | Away:
        """Give the next answer."""
        return self.held_answers.pop(0)

    def send(self, content: BinaryIO) -> Taken | OutOfOrder | Refused | Away:
        """Give the next answer."""
        assert content is CONTENT
        return self.send_answers.pop(0)


def test_it_asks_until_there_is_an_answer() -> None:
    """With a longer pause each time; the same document is sent again."""
    waited: list[float] = []
    branch = Scripted([Away("a"), Held(7)], [Away("b"), Away("c"), Taken(8)])

    assert insist(branch.held, waited.append) == Held(7)
    assert insist(partial(branch.send, CONTENT), waited.append) == Taken(8)
    assert waited == [PAUSES_S[0], PAUSES_S[0], PAUSES_S[1]]


def test_patience_ends() -> None:
    """After four attempts the last answer stands."""
    waited: list[float] = []
    branch = Scripted(held_answers=[Away(str(n)) for n in range(9)])

    assert insist(branch.held, waited.append) == Away("3")
    assert waited == list(PAUSES_S)


@pytest.mark.parametrize("answer", [Refused("401"), OutOfOrder("409"), Taken(1)])
def test_a_final_answer_is_not_asked_for_again(answer: Refused | OutOfOrder | Taken) -> None:
    """A signature does not become right by being sent twice."""
    branch = Scripted(send_answers=[answer])

    assert insist(partial(branch.send, CONTENT), lambda _s: None) == answer


def test_a_branch_says_when_to_come_again() -> None:
    """It is left alone that long, if that is longer than the pause; not if it takes for ever."""
    waited: list[float] = []
    branch = Scripted([Away("busy", 30.0), Away("busy", 0.5), Away("busy", 3600.0), Held(1)])

    assert insist(branch.held, waited.append) == Away("busy", 3600.0)
    assert waited == [30.0, PAUSES_S[1]]
