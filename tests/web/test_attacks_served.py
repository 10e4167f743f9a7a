"""What a stranger tries on the wire, and senders that are slow or go away, at a real process.

Bug (ASVS 5.0, read whole): the answer to what is no HTTP, or to one connection too many, had none
of the headers; the cookies of the language and the screen had no prefix; suites of TLS without
authenticated encryption were taken.
"""

from __future__ import annotations

import json
import socket
import time
from contextlib import ExitStack, closing, suppress

import httpx2
import pytest

from doorctl.web.headers import ALWAYS
from doorctl.web.listener import MOST_OF_ONE
from doorctl.web.pushes import MOST_WAITING
from doorctl.web.serving import MOST_STRANGERS
from tests.fakes.waiting import LIMIT_S
from tests.web.branch import CHANGES, EPOCH, SNAPSHOT, Branch, answer_of, drip, rows
from tests.web.conftest import Branches

STYLE = "/static/vendor/dkfds/css/dkfds.min.css"
"""A long answer."""


def heard(branch: Branch) -> bool:
    """Tell whether a new connection is answered."""
    with suppress(httpx2.HTTPError):
        return branch.ask("GET", EPOCH).status_code == 200
    return False


def test_who_drips_an_answered_request_is_not_listened_to(impatient: Branch) -> None:
    """The answer came, the body goes on and on: the connection ends all the same."""
    head = b"GET /sign-in HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n"
    with closing(impatient.connected()) as connection:
        connection.sendall(head)
        # A reset or a broken pipe, as the kernel likes.
        with pytest.raises(ConnectionError):
            drip(connection)


def test_an_answer_that_nobody_reads_is_cut(impatient: Branch) -> None:
    """After as long as a sender may be silent, and not when its reader likes."""
    with closing(socket.socket()) as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        reader.settimeout(LIMIT_S)
        reader.connect(("127.0.0.1", impatient.port))
        reader.sendall(f"GET {STYLE} HTTP/1.1\r\nHost: x\r\n\r\n".encode() * 60)
        # As soon as it is cut, what is sent to it fails.
        with pytest.raises(ConnectionError):
            drip(reader)


def test_no_stranger_is_told_how_many_patrons_there_are(shared: Branch) -> None:
    """Nor which push is held. What a proxy would say of the caller is not listened to."""
    shared.fill()
    transport = httpx2.HTTPTransport(local_address="127.0.0.2")
    with httpx2.Client(transport=transport, timeout=LIMIT_S, trust_env=False) as stranger:
        posing = {"X-Forwarded-For": "127.0.0.1", "Forwarded": "for=127.0.0.1"}
        told = stranger.get(f"http://127.0.0.1:{shared.port}{EPOCH}", headers=posing).json()

    here = shared.held()
    assert here.pop("patrons") == 100
    assert told.keys() - {"why"} == here.keys()
    assert (told["epoch"], told["digest"], told["audit_head"]) == (0, "", None)


def test_two_lengths_are_refused(shared: Branch) -> None:
    """Content-Length beside Transfer-Encoding is 400 and the end: no request hides in another."""
    head = f"PUT {SNAPSHOT} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
    hidden = f"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET {EPOCH} HTTP/1.1\r\nHost: x\r\n\r\n"
    connection = shared.connected()
    connection.sendall((head + hidden).encode())
    answer = answer_of(connection)

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") == 1


def test_what_is_refused_before_any_page_has_the_headers(shared: Branch) -> None:
    """What is no HTTP, and a stranger for whom there is no place."""
    garbage = shared.connected()
    garbage.sendall(b"GET\r\n\r\n")
    answers = [answer_of(garbage)]
    with ExitStack() as stack:
        for number in range(MOST_STRANGERS):
            host = f"127.0.0.{2 + number // (MOST_OF_ONE - 2)}"
            stack.enter_context(closing(shared.connected(host)))
        late = shared.connected("127.0.0.9")
        late.sendall(f"GET {EPOCH} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        answers.append(answer_of(late))

    assert [answer[:13] for answer in answers] == [b"HTTP/1.1 400 ", b"HTTP/1.1 503 "]
    for answer in answers:
        head = answer.lower().partition(b"\r\n\r\n")[0].splitlines()
        assert {f"{name}: {value}".lower().encode() for name, value in ALWAYS.items()} <= set(head)


def test_half_a_form_is_no_fault_of_ours(shared: Branch) -> None:
    """A stranger who hangs up in the middle of a form leaves no traceback in the journal.

    Bug (penetration test): a length beside chunks was taken; half a form left a traceback each.
    """
    head = "POST /sign-in HTTP/1.1\r\nHost: x\r\nOrigin: http://x\r\nContent-Length: 99\r\n"
    kind = "Content-Type: application/x-www-form-urlencoded\r\n\r\nlogin="
    for _ in range(3):
        connection = shared.connected()
        connection.sendall((head + kind).encode())
        time.sleep(0.1)
        connection.close()
    assert heard(shared)
    time.sleep(0.2)

    assert "Traceback" not in shared.errors()


def test_an_address_that_is_none_is_told_as_a_page(shared: Branch) -> None:
    """In the branch's look and the reader's language, to strangers too; machines get theirs.

    Bug (review of the pages): an address that is none got a bare page, and "that is no date"
    stood in English on a Danish one.
    """
    for language, told in (("da", "Siden findes ikke"), ("en", "There is no such page")):
        cookie = {"Cookie": f"doorctl-language={language}"}
        answer = shared.ask("GET", "/no-such-page", headers=cookie)

        assert answer.status_code == 404
        assert f'<html lang="{language}">' in answer.text
        assert f"<h1>{told}</h1>" in answer.text
        assert "doorctl.css" in answer.text
    machine = shared.ask("GET", "/v1/none")
    assert (machine.status_code, machine.headers["content-type"]) == (404, "application/json")


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
    branch = branches("web.push.total_timeout_s=4")
    branch.start()
    branch.fill()
    document = next_push(branch)
    connection = branch.hanging(document, 1000)
    connection.settimeout(0.1)
    answer = b""
    for place in range(1000, len(document) - 1):
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
