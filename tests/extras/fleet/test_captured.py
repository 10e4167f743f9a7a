"""A captured server withholds; it never forges, replays or reorders to any effect.

Between a sender's own end and a real web process stands one that hears, keeps and changes all.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from io import BytesIO
from typing import Any

import pytest

from doorctl.extras.fleet.bodies import Bodies
from doorctl.extras.fleet.branch import NatsBranch
from doorctl.extras.fleet.connection import Link, SharedConnection
from doorctl.extras.fleet.messages import PIECE_BYTES, headers_of_piece, question_of
from doorctl.sources.branches import Request
from doorctl.store.signing_keys import read_public_keys
from doorctl.sync.branch import Away, Held, Refused, Taken
from doorctl.sync.wire import Removal
from tests.extras.fleet.middle import Middle, Said, between, faithfully, honestly
from tests.extras.fleet.nats_server import NatsServer, serving_nats
from tests.web.branch import Branch, row, rows
from tests.web.nats_fed import NatsFed

MANY = 1500
"""Patrons whose push has some pieces."""


@pytest.fixture(scope="module")
def senders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """The server that the sender knows."""
    with serving_nats(tmp_path_factory.mktemp("senders")) as server:
        yield server


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsFed]:
    """A branch and the server that it knows; a sender's pushes can't be silent for long here."""
    directory = tmp_path_factory.mktemp("demo")
    Branch.forked = True
    with serving_nats(directory) as server:
        branch = NatsFed(directory, server, "web.push.chunk_timeout_s=3")
        branch.start()
        yield branch
        branch.end()
    Branch.forked = False


@pytest.fixture
def middle(senders: NatsServer, demo: NatsFed) -> Iterator[Middle]:
    """Who stands between them, and is faithful until a test says otherwise."""
    with between(senders, demo.server, "demo") as middle:
        yield middle


@pytest.fixture
def reached(senders: NatsServer, demo: NatsFed, middle: Middle) -> NatsBranch:
    """The branch as the sender has it."""
    (public,) = read_public_keys([demo.directory / "answers.pub"])
    _ = middle
    link = Link((senders.url,), None)
    return NatsBranch(
        "demo", SharedConnection(link), public, Bodies(), question=demo.question, apply_s=4, ask_s=4
    )


def held(branch: NatsFed) -> tuple[int, int, str]:
    """Return what stands in the branch's own database: number, patrons, digest of all rows."""
    path = branch.config.storage.directory / "patrons.db"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        (epoch, digest), *_ = database.execute("SELECT epoch, digest FROM cache").fetchall()
        (patrons,), *_ = database.execute("SELECT count(*) FROM patrons").fetchall()
    return epoch, patrons, digest


def next_push(branch: NatsFed, patrons: int = MANY) -> bytes:
    """Return a snapshot that follows on what is held, of some pieces."""
    content = branch.document(rows(patrons), held(branch)[0] + 1, approved_by="test")
    assert patrons < MANY or len(content) > 2 * PIECE_BYTES
    return content


def renamed(said: Said, name: str) -> Said:
    """Say the same as another request."""
    headers, data = said
    return {**headers, "Doorctl-Request": name}, data


def replayed(middle: Middle, told: list[Said], name: str = "") -> Said:
    """Say a whole request once more, and return the last answer."""
    answer: Said = ({}, b"")
    for said in told:
        answer = middle.say(renamed(said, name) if name else said)
    number = len(told)
    while "Doorctl-Next" in answer[0]:
        last = renamed(told[-1], name) if name else told[-1]
        answer = middle.say(({**last[0], "Doorctl-Piece": str(number)}, b""))
    return answer


def test_an_old_push_is_refused(demo: NatsFed, middle: Middle, reached: NatsBranch) -> None:
    """Whole and signed as it is: under a new name it is 409, under its own the old answer."""
    first = next_push(demo)
    assert isinstance(reached.send(BytesIO(first), "snapshot"), Taken)
    told, middle.seen = middle.seen, []
    assert isinstance(reached.send(BytesIO(next_push(demo, MANY + 7)), "snapshot"), Taken)
    before = held(demo)

    status = [
        replayed(middle, told, name)[0]["Doorctl-Status"] for name in ("", "ab" * 16, "cd" * 16)
    ]

    assert status == ["200", "409", "409"]
    assert held(demo) == before


def test_a_push_for_another_branch_is_refused(demo: NatsFed, reached: NatsBranch) -> None:
    """Whoever carries it cannot give one branch what is another's."""
    before = held(demo)

    foreign = demo.document(rows(MANY), before[0] + 1, branch="syd")

    answer = reached.send(BytesIO(foreign), "snapshot")

    assert isinstance(answer, Refused)
    assert "push is for another branch" in answer.why
    assert held(demo) == before


def doubled(said: Said, _before: list[Said]) -> list[Said]:
    """Say everything twice."""
    return [said, said]


def with_all_before(said: Said, before: list[Said]) -> list[Said]:
    """Say all that was said before again, the newest first."""
    return [*reversed(before), said]


def every_other_lost(said: Said, before: list[Said]) -> list[Said]:
    """Lose what is said for the first time."""
    return [said] if said in before else []


CARRIED = [faithfully, doubled, with_all_before, every_other_lost]


@pytest.mark.parametrize("tamper", CARRIED, ids=lambda tamper: tamper.__name__)
def test_what_a_bad_line_does_is_mended(
    demo: NatsFed, middle: Middle, reached: NatsBranch, tamper: Any
) -> None:
    """Doubled, old and lost pieces: the whole push is applied, once."""
    middle.tamper = tamper
    number, *_ = held(demo)

    answer = reached.send(BytesIO(next_push(demo)), "snapshot")

    assert answer == Taken(number + 1)
    assert held(demo)[:2] == (number + 1, MANY)


def swapped(said: Said, _before: list[Said]) -> list[Said]:
    """Number the second and third piece as each other."""
    headers, data = said
    other = {"1": "2", "2": "1"}.get(headers["Doorctl-Piece"], headers["Doorctl-Piece"])
    return [({**headers, "Doorctl-Piece": other}, data)]


def truncated(said: Said, _before: list[Said]) -> list[Said]:
    """Leave out the last byte of a piece."""
    return [(said[0], said[1][:-1])]


def one_bit_wrong(said: Said, _before: list[Said]) -> list[Said]:
    """Change a byte in the middle of the second piece."""
    headers, data = said
    middle = len(data) // 2
    wrong = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :] if data else data
    return [(headers, wrong if headers["Doorctl-Piece"] == "1" else data)]


def said_to_be_shorter(said: Said, _before: list[Said]) -> list[Said]:
    """End a push after its first piece, and have that be all of it."""
    headers, data = said
    return [({**headers, "Doorctl-Size": str(len(data))}, data)]


def half_lost(said: Said, _before: list[Said]) -> list[Said]:
    """Pass on no piece but the first."""
    return [said] if said[0]["Doorctl-Piece"] == "0" else []


CHANGED = [swapped, truncated, one_bit_wrong, said_to_be_shorter, half_lost]


@pytest.mark.parametrize("tamper", CHANGED, ids=lambda tamper: tamper.__name__)
def test_what_was_changed_on_the_way_is_not_applied(
    demo: NatsFed, middle: Middle, reached: NatsBranch, tamper: Any
) -> None:
    """Not a row of it, and the next push that is carried faithfully is taken."""
    middle.tamper, before = tamper, held(demo)
    push = next_push(demo, MANY + before[0] % 7 + 1)

    answer = reached.send(BytesIO(push), "snapshot")

    assert isinstance(answer, Away | Refused)
    assert held(demo) == before
    middle.tamper = faithfully
    # Half of a push is given up after three seconds here.
    answers = [reached.send(BytesIO(push), "snapshot") for _ in range(4)]
    assert Taken(before[0] + 1) in answers
    assert held(demo)[0] == before[0] + 1


def forged_number(_said: Said, reply: Said) -> Said:
    """Say that the branch holds a number near the end of all numbers."""
    return reply[0], json.dumps({**json.loads(reply[1]), "epoch": 2**52}).encode()


def forged_success(_said: Said, _reply: Said) -> Said:
    """Say that all is well, without a signature."""
    return {"Doorctl-Status": "200"}, b'{"epoch":41}'


def without_signature(_said: Said, reply: Said) -> Said:
    """Leave the signature out."""
    return {name: text for name, text in reply[0].items() if "Signature" not in name}, reply[1]


@pytest.mark.parametrize("lie", [forged_number, forged_success, without_signature])
def test_a_number_that_the_branch_did_not_sign_is_not_believed(
    middle: Middle, reached: NatsBranch, lie: Any
) -> None:
    """Else one lie would drive the sender's numbers to their end, for every branch."""
    assert isinstance(reached.held(), Held)
    middle.lie = lie

    answer = reached.held()

    assert isinstance(answer, Refused)
    assert answer.why.startswith("what answers for it is not the branch")


def test_another_reply_of_the_branch_is_not_believed(
    demo: NatsFed, middle: Middle, reached: NatsBranch
) -> None:
    """A push kept back, and a question asked in its place: what is held is no receipt.

    Nor is yesterday's answer to today's question; nor that to a question without its signature,
    for then the branch tells a stranger that it holds nothing.
    """
    old: list[Said] = []

    def keep(_said: Said, reply: Said) -> Said:
        old.append(reply)
        return reply

    middle.lie = keep
    assert isinstance(reached.held(), Held)
    question, before = middle.seen[-1], held(demo)

    def ask_instead(said: Said, _before: list[Said]) -> list[Said]:
        return [renamed(question, said[0]["Doorctl-Request"])]

    def unsigned(said: Said, _before: list[Said]) -> list[Said]:
        headers = {name: text for name, text in said[0].items() if name != "Authorization"}
        return [(headers, said[1])]

    middle.lie, middle.tamper = honestly, ask_instead
    kept_back = reached.send(BytesIO(next_push(demo)), "snapshot")
    middle.tamper = unsigned
    stripped = reached.held()
    middle.lie, middle.tamper = lambda _said, _reply: old[0], faithfully
    yesterdays = reached.held()

    for answer in (kept_back, stripped, yesterdays):
        assert isinstance(answer, Refused)
        assert answer.why.startswith("what answers for it is not the branch")
    assert held(demo) == before


def test_a_question_that_is_not_signed_is_told_nothing(
    demo: NatsFed, middle: Middle, reached: NatsBranch
) -> None:
    """Not after a signed push either: over HTTP its address is known then, here nobody has one."""
    assert isinstance(reached.send(BytesIO(next_push(demo)), "snapshot"), Taken)
    asked, _ = question_of("ef" * 16, Request("GET", "/v1/patrons/epoch"))

    _, told = middle.say((headers_of_piece(asked, 0), b""))

    said = json.loads(told)
    assert (said["epoch"], said["digest"], said["audit_head"]) == (0, "", None)
    assert "patrons" not in said


def test_changes_go_the_same_way(demo: NatsFed, reached: NatsBranch) -> None:
    """In order, each once, beside snapshots."""
    number, *_ = held(demo)
    changes = demo.document([row(99_999), Removal("1000")], number + 1, kind="changes")

    answers = [reached.send(BytesIO(changes), "changes") for _ in range(2)]

    assert answers == [Taken(number + 1)] * 2
    assert held(demo)[0] == number + 1
