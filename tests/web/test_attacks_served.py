"""What a stranger tries on the wire, against a real process.

Bug (ASVS 5.0, read whole): the answer to what is no HTTP, or to one connection too many, had none
of the headers; the cookies of the language and the screen had no prefix; suites of TLS without
authenticated encryption were taken.
"""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack, closing, suppress

import httpx2
import pytest

from doorctl.web.serving import ALWAYS, MOST_OF_ONE, MOST_STRANGERS
from tests.web.branch import EPOCH, LIMIT_S, SNAPSHOT, Branch, answer_of, drip

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
    """A sender needs the number of the push, its digest and the audit log's end, and no more.

    What a proxy would say of the caller is not listened to.
    """
    shared.fill()
    transport = httpx2.HTTPTransport(local_address="127.0.0.2")
    with httpx2.Client(transport=transport, timeout=LIMIT_S, trust_env=False) as stranger:
        posing = {"X-Forwarded-For": "127.0.0.1", "Forwarded": "for=127.0.0.1"}
        told = stranger.get(f"http://127.0.0.1:{shared.port}{EPOCH}", headers=posing).json()

    here = shared.held()
    assert here.pop("patrons") == 100
    assert told == here


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
