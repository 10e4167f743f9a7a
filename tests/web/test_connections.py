"""Crowds of connections that ask nothing or read nothing, by TLS and without, at a real process.

They come from 127.0.0.2 and onwards, which are strangers: 127.0.0.1 and ::1 have their own places.
"""

from __future__ import annotations

import logging
import resource
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import httpx2
import pytest

from doorctl.config.tables import Tls
from doorctl.core.errors import StoreError
from doorctl.rpc.client import ask
from doorctl.rpc.messages import Line
from doorctl.web.listener import MOST_ACCEPTED, MOST_OF_ONE, Listener, listen
from doorctl.web.serving import CROWDED, MOST_STRANGERS, TOLD_EVERY_S, Rationed
from tests.browser.screens import serving
from tests.fakes.waiting import LIMIT_S
from tests.web.branch import Branch, answer_of, rows
from tests.web.certificates import Authority

IDLE = 1100
READERS = 256
ASKED = 60
STYLE = "/static/vendor/dkfds/css/dkfds.min.css"
MOST_LINES = 40
"""Of the journal, for all that a test's crowd does; each of them was a traceback."""


@pytest.fixture(scope="module", autouse=True)
def descriptors() -> Iterator[None]:
    """Let the test have more connections than the process that it attacks."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before[0], 4096), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.fixture
def branch(tmp_path: Path, authority: Authority) -> Iterator[Branch]:
    """A branch that speaks TLS, with a sender who has a certificate."""
    made = Branch(tmp_path, *authority.settings())
    made.scheme, made.tls = "https", authority.client(authority.issue("sender"))
    made.start()
    yield made
    made.end()


def answers(branch: Branch, authority: Authority) -> None:
    """Ask for the panel, a page and a push, each as whoever would; none waits for the crowd."""
    certified, branch.tls = branch.tls, authority.client()
    assert branch.ask("GET", "/panel").status_code == 200
    assert branch.ask("GET", "/sign-in").status_code == 200
    branch.tls = certified
    document = branch.document(rows(60), branch.held()["epoch"] + 1)
    assert pushed(branch, certified, document) == 200


def pushed(branch: Branch, tls: ssl.SSLContext | bool, document: bytes) -> int:
    """Push from an address that no place is kept for, by a certificate; return the status."""
    transport = httpx2.HTTPTransport(verify=tls, local_address="127.0.0.200")
    with httpx2.Client(transport=transport, timeout=LIMIT_S, trust_env=False) as client:
        address = f"https://127.0.0.1:{branch.port}/v1/patrons"
        return client.request("PUT", address, content=document).status_code


def test_a_thousand_connections_without_a_handshake(branch: Branch, authority: Authority) -> None:
    """Of one address: panel, pages and pushes go on, and the journal stays readable."""
    with ExitStack() as stack:
        for _ in range(IDLE):
            stack.enter_context(closing(branch.connected("127.0.0.2")))
        began_s = time.monotonic()
        answers(branch, authority)
        assert time.monotonic() - began_s < LIMIT_S
    assert branch.errors().count("\n") < MOST_LINES
    assert [line for line in branch.lines if line["event"] == "alarm"] == []


def test_a_handshake_that_never_comes_ends(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After five seconds, here fewer, the connection is closed."""
    monkeypatch.setattr("doorctl.web.serving.HANDSHAKE_S", 0.3)
    certificate, key = authority.issue("branch")
    tls = Tls(certificate_file=certificate, key_file=key)
    with serving(CROWDED, lambda: None, tls) as address:
        port = int(address.rpartition(":")[2])
        assert answer_of(socket.create_connection(("127.0.0.1", port), LIMIT_S)) == b""


def test_readers_that_read_nothing(branch: Branch, authority: Authority) -> None:
    """256 of them, from enough addresses: panel, pages and certified pushes go on meanwhile.

    Bug (penetration test): 1 100 idle connections, or 256 readers that read nothing, stopped
    pages, panel and pushes, and filled the journal.
    """
    with ExitStack() as stack:
        client = authority.client()
        for number in range(READERS):
            host = f"127.0.0.{2 + number // (MOST_OF_ONE - 4)}"
            with suppress(OSError):
                stack.enter_context(closing(unread(branch, client, host)))
        answers(branch, authority)
    assert branch.errors().count("\n") < MOST_LINES


def unread(branch: Branch, client: ssl.SSLContext, host: str) -> ssl.SSLSocket:
    """Ask for much from an address, and read none of it."""
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    plain.settimeout(LIMIT_S)
    plain.bind((host, 0))
    plain.connect(("127.0.0.1", branch.port))
    reader = client.wrap_socket(plain, server_hostname="127.0.0.1")
    request = f"GET {STYLE} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    reader.sendall(request.encode() * ASKED)
    return reader


class Crowd:
    """Connections to a listener that nobody serves."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.listener: Listener = stack.enter_context(closing(listen("127.0.0.1", 0)))

    def come(self, host: str) -> socket.socket | None:
        """Connect from an address; return what was accepted, None for nothing."""
        there = self.listener.getsockname()
        self._stack.enter_context(closing(socket.create_connection(there, LIMIT_S, (host, 0))))
        try:
            accepted, _ = self.listener.accept()
        except ConnectionAbortedError:
            return None
        return self._stack.enter_context(closing(accepted))


def test_places_are_counted_before_a_handshake() -> None:
    """One address has so many, all together have so many, and this machine has its own."""
    with ExitStack() as stack:
        crowd = Crowd(stack)
        for number in range(MOST_ACCEPTED):
            assert crowd.come(f"127.0.0.{2 + number // MOST_OF_ONE}")

        assert crowd.come("127.0.0.99") is None
        own = [crowd.come("127.0.0.1") for _ in range(MOST_OF_ONE)]
        assert all(own)
        assert crowd.come("127.0.0.1") is None


def test_a_place_is_free_once_its_connection_is_closed() -> None:
    """Once, however often it is closed: no address gets more places by it, and none loses any."""
    with ExitStack() as stack:
        crowd = Crowd(stack)
        taken = [crowd.come("127.0.0.2") for _ in range(MOST_OF_ONE)]
        assert crowd.come("127.0.0.2") is None
        assert taken[0] is not None
        taken[0].close()
        taken[0].close()

        assert crowd.come("127.0.0.2")
        assert crowd.come("127.0.0.2") is None


def test_strangers_leave_places_for_certificates() -> None:
    """However many of them have shaken hands, as many again may begin to from an address."""
    assert MOST_STRANGERS + 2 * MOST_OF_ONE <= MOST_ACCEPTED


def test_a_kind_of_line_is_told_once_a_minute() -> None:
    """With how many more there were; another kind is told at once."""
    now = [0.0]
    rationed = Rationed(lambda: now[0])

    def told(text: str) -> str | None:
        record = logging.LogRecord("asyncio", logging.ERROR, __file__, 1, text, (), None)
        return record.getMessage() if rationed.filter(record) else None

    assert told("socket.accept() out of system resource: 7") is not None
    assert [told("socket.accept() out of system resource: 8") for _ in range(9)] == [None] * 9
    assert told("Invalid HTTP request received.") == "Invalid HTTP request received."
    now[0] = TOLD_EVERY_S
    last = told("socket.accept() out of system resource: 9")
    assert last == "socket.accept() out of system resource: 9 (9 more since the last such line)"
    now[0] = 2 * TOLD_EVERY_S
    assert told("socket.accept() out of system resource: 9") == last.split(" (")[0]


def test_who_has_no_socket_to_ask_by_learns_nothing_of_the_other(tmp_path: Path) -> None:
    """Where this process has no descriptor left, the door is not said to be silent."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))
    try:
        with pytest.raises(StoreError, match="no socket to ask the door process by"):
            ask(tmp_path / "door.sock", Line("status"), timeout_s=1)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
