"""Senders that are slow, go away or come two at a time, on raw connections."""

from __future__ import annotations

import json
import socket
import time
from contextlib import closing

import pytest

from doorctl.web.pushes import MOST_WAITING
from tests.web.branch import CHANGES, Branch, answer_of, rows
from tests.web.conftest import Branches


@pytest.fixture
def branch(impatient: Branch) -> Branch:
    """The impatient one, holding 100 patrons."""
    impatient.fill()
    return impatient


def parts(answer: bytes) -> tuple[int, dict[str, str], str]:
    """Return status, JSON and head of an answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body), head.decode().lower()


def next_push(branch: Branch) -> bytes:
    """Return a push of 200 patrons that follows on what is held."""
    return branch.document(rows(200), branch.held()["epoch"] + 1)


def is_undisturbed(branch: Branch) -> bool:
    """Tell whether there are 100 patrons as before, and the next push is taken."""
    assert branch.held()["patrons"] == 100
    return branch.push(next_push(branch)).status_code == 200


def test_an_early_refusal_arrives(shared: Branch) -> None:
    """A sender that writes all before it reads hears the answer before the end, never a reset."""
    document = b"{}\n" + b" " * 900_000
    with closing(shared.hanging(document, len(document))) as connection:
        answer = b"".join(iter(lambda: connection.recv(65536), b""))

    assert parts(answer)[0] == 422


@pytest.mark.parametrize("sent", [0, 5000])
def test_a_silent_sender_is_408(branch: Branch, sent: int) -> None:
    """Whoever stops in the middle is told so, changes nothing and makes room for the next."""
    document = next_push(branch)

    status, answer, _ = parts(answer_of(branch.hanging(document, sent)))

    assert (status, answer["error"]) == (408, "too_slow")
    branch.wait_for("push", result="too_slow")
    assert is_undisturbed(branch)


def test_a_dripping_sender_is_408(branches: Branches) -> None:
    """A byte now and then is not enough: the whole push has a limit too."""
    branch = branches("web.push.total_timeout_s=0.6")
    branch.start()
    branch.fill()
    document = next_push(branch)
    connection = branch.hanging(document, 1000)
    connection.settimeout(0.1)
    answer = b""
    for place in range(1000, 1100):
        connection.sendall(document[place : place + 1])
        try:
            answer = connection.recv(65536)
        except TimeoutError:
            continue
        break
    connection.close()

    assert b" 408 " in answer
    assert is_undisturbed(branch)


@pytest.mark.parametrize("held", [False, True])
def test_an_old_push_holds_nobody_up(shared: Branch, held: bool) -> None:
    """Its first line is enough to refuse it, or to answer it, however slowly its rows come."""
    branch, epoch = shared, shared.fill(90)
    old, current = branch.document(rows(90), epoch + 1), branch.document(rows(100), epoch + 2)
    assert branch.push(old).status_code == branch.push(current).status_code == 200
    document = current if held else old
    connection = branch.hanging(document, document.index(b"\n") + 10)

    branch.wait_for("push", result="unchanged" if held else "out_of_order")
    assert branch.push(next_push(branch)).status_code == 200

    with closing(connection):
        connection.sendall(document[document.index(b"\n") + 10 :])
        heard = b""
        while not heard.endswith(b"}"):
            heard += connection.recv(65536)
        assert parts(heard)[0] == (200 if held else 409)


def test_a_push_that_is_cut_off_changes_nothing(branch: Branch) -> None:
    """A sender that hangs up in the middle leaves no rows, no file and no busy branch."""
    document = next_push(branch)
    files = branch.files()
    branch.hanging(document, len(document) - 1).close()

    branch.wait_for("push", result="cut_off")
    assert branch.files() == files
    assert is_undisturbed(branch)


def test_a_connection_without_a_request_is_closed(branch: Branch) -> None:
    """Nobody can hold a connection by asking nothing on it, or by never coming to an end."""
    silent, unfinished = (
        socket.create_connection(("127.0.0.1", branch.port), 10) for _ in range(2)
    )
    unfinished.sendall(b"PUT /v1/patrons HTTP/1.1\r\nHost: x\r\n")

    assert (answer_of(silent), answer_of(unfinished)) == (b"", b"")


def test_a_second_push_is_503(shared: Branch) -> None:
    """While one comes in, another is told when to come again, and questions are answered."""
    branch = shared
    epoch = branch.fill()
    document = next_push(branch)
    with closing(branch.hanging(document, 5000)):
        time.sleep(0.2)  # The first has to be there first.
        status, answer, head = parts(answer_of(branch.hanging(document, len(document), CHANGES)))
        held = branch.held()

    assert (status, answer) == (503, {"error": "busy"})
    assert "retry-after: 5" in head
    assert held["epoch"] == epoch
    branch.wait_for("push", result="busy")
    branch.wait_for("push", result="cut_off")
    assert is_undisturbed(branch)


def test_a_push_on_its_way_has_no_name(shared: Branch) -> None:
    """The rows lie in no file that a crash could leave or anybody could open."""
    files = shared.files()
    document = shared.document(rows(2000), shared.held()["epoch"] + 1)
    with closing(shared.hanging(document, len(document) - 1)):
        time.sleep(0.2)  # What was sent is to be on its way to the disk.

        assert shared.files() == files
    shared.wait_for("push", result="cut_off")


def test_a_stranger_holds_no_sender_off(shared: Branch) -> None:
    """A byte now and then from many of them, unsigned, and a push comes in all the same.

    Bug (attack review): a stranger who sends a byte now and then held every sender off.
    """
    branch = shared
    branch.fill()
    document = next_push(branch)
    strangers = [branch.hanging(document, 10) for _ in range(2 * MOST_WAITING)]
    for place in (10, 11):
        time.sleep(0.2)
        for one in strangers[-MOST_WAITING:]:
            one.sendall(document[place : place + 1])

        assert branch.push(next_push(branch)).status_code == 200

    answers = [answer_of(one) for one in strangers]
    assert all(b" 408 " in one for one in answers)


@pytest.mark.parametrize("forged", [b"{}\n", b"\x1f\x8b\x08\x00" + b"junk" * 9, b"x" * 100_000])
def test_who_is_not_vouched_for_is_refused_by_the_first_line(shared: Branch, forged: bytes) -> None:
    """Whether it goes on or not, and nothing of it is kept."""
    connection = shared.hanging(forged + b" " * 900_000, len(forged))

    assert parts(answer_of(connection))[0] in {401, 422}
