from __future__ import annotations

from dataclasses import dataclass, field, replace
from io import BytesIO

import pytest

from doorctl.sync.delivery import (
    PAUSES_S,
    Away,
    Held,
    OutOfOrder,
    Parcel,
    PatientBranch,
    Refused,
    RehearsedBranch,
    Taken,
)

PARCEL = Parcel(snapshot=False, content=BytesIO(b""), bytes_long=0)


@dataclass
class Scripted:
    """A `Branch` that gives its answers one after the other."""

    held_answers: list[Held | Refused | Away] = field(default_factory=list)
    send_answers: list[Taken | OutOfOrder | Refused | Away] = field(default_factory=list)
    name: str = "oest"

    def held(self) -> Held | Refused | Away:
        """Give the next answer."""
        return self.held_answers.pop(0)

    def exchange(self, message: bytes) -> Refused | Away:
        """Take none, after as long."""
        return Away(message.decode())

    def send(self, parcel: Parcel) -> Taken | OutOfOrder | Refused | Away:
        """Give the next answer."""
        assert parcel is PARCEL
        return self.send_answers.pop(0)


def test_a_message_is_told_once_and_in_a_dry_run_to_nobody() -> None:
    """The next run tells it again, with a nonce of its own."""
    waited: list[float] = []

    assert PatientBranch(Scripted(), waited.append).exchange(b"word") == Away("word")
    assert waited == []
    assert RehearsedBranch(Scripted()).exchange(b"word") == Away("nothing is told in a dry run")


def test_it_asks_until_there_is_an_answer() -> None:
    """With a longer pause each time; the same parcel is sent again."""
    waited: list[float] = []
    branch = Scripted([Away("a"), Held(7)], [Away("b"), Away("c"), Taken(8)])
    patient = PatientBranch(branch, waited.append)

    assert patient.held() == Held(7)
    assert patient.send(PARCEL) == Taken(8)
    assert waited == [PAUSES_S[0], PAUSES_S[0], PAUSES_S[1]]
    assert patient.name == "oest"


def test_patience_ends() -> None:
    """After four attempts the last answer stands."""
    waited: list[float] = []
    branch = Scripted(held_answers=[Away(str(n)) for n in range(9)])

    assert PatientBranch(branch, waited.append).held() == Away("3")
    assert waited == list(PAUSES_S)


@pytest.mark.parametrize("answer", [Refused("401"), OutOfOrder("409"), Taken(1)])
def test_a_final_answer_is_not_asked_for_again(answer: Refused | OutOfOrder | Taken) -> None:
    """A signature does not become right by being sent twice."""
    branch = Scripted(send_answers=[answer])

    assert PatientBranch(branch, lambda _s: None).send(PARCEL) == answer


def test_a_branch_says_when_to_come_again() -> None:
    """It is left alone that long, if that is longer than the pause; not if it takes for ever."""
    waited: list[float] = []
    branch = Scripted([Away("busy", 30.0), Away("busy", 0.5), Away("busy", 3600.0), Held(1)])

    assert PatientBranch(branch, waited.append).held() == Away("busy", 3600.0)
    assert waited == [30.0, PAUSES_S[1]]


def test_a_rehearsal_sends_nothing() -> None:
    """One that is too old to check a push is asked what it holds, and sent nothing."""
    branch = RehearsedBranch(Scripted([Held(7)]))

    assert (branch.name, branch.held()) == ("oest", Held(7))
    assert isinstance(branch.send(PARCEL), Taken)


def test_a_rehearsal_has_the_branch_check_what_would_be_sent() -> None:
    """And says what the branch says to it."""
    sent: list[Parcel] = []

    class Checking(Scripted):
        """A branch that refuses what it is to check."""

        def send(self, parcel: Parcel) -> Refused:
            """Refuse it."""
            sent.append(parcel)
            return Refused("too many")

    branch = RehearsedBranch(Checking([Held(7, nonce="n")]))
    branch.held()

    assert branch.send(PARCEL) == Refused("too many")
    assert sent == [replace(PARCEL, rehearsed=True)]
