"""One connection: TLS from the first byte, the right name, bounds on what a server may say."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.request import urlopen

import pytest
from nats import errors

from doorctl.extras.fleet.connection import (
    LOST,
    Connection,
    Link,
    SharedConnection,
    connected,
    why_lost,
)
from doorctl.sources.branches import tls_context
from tests.e2e.ways import secured
from tests.extras.fleet.nats_server import PLAIN, NatsServer, serving_nats
from tests.fakes.waiting import LIMIT_S, until
from tests.sources.http_server import free_port
from tests.web.certificates import Authority

INFO = b'INFO {"server_id":"x","version":"2.10.27","max_payload":262144,"headers":true}\r\n'


MONITORED = PLAIN + 'http: "127.0.0.1:{http}"\n'


def why(link: Link) -> str:
    """Connect, and return why it fails; empty where it does not."""

    async def connecting() -> None:
        """Connect."""
        async with connected(link) as connection:
            await connection.client.flush(5)

    try:
        asyncio.run(connecting())
    except LOST as error:
        return why_lost(error, "web.nats")
    return ""


@contextmanager
def saying(*words: bytes, context: ssl.SSLContext | None = None) -> Iterator[tuple[int, bytearray]]:
    """Serve one client after another on a port: say, and keep what it says."""
    heard = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                with suppress(OSError, ssl.SSLError):
                    client, _ = listener.accept()
                    client.settimeout(LIMIT_S)
                    with context.wrap_socket(client, server_side=True) if context else client as it:
                        for word in words:
                            it.sendall(word)
                            heard.extend(it.recv(4096))
                        while said := it.recv(65536):
                            heard.extend(said)
                if listener.fileno() < 0:
                    return

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1], heard


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Whom all trust."""
    return Authority(tmp_path_factory.mktemp("authority"), "authority")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[NatsServer]:
    """A server as `doorctl nats-config` configures it, for the branch oest."""
    server = secured(tmp_path_factory.mktemp("server"), authority, "oest")
    server.start()
    yield server
    server.end()


def link(authority: Authority, port: int, name: str, host: str = "127.0.0.1") -> Link:
    """Return a link by TLS, with the certificate of a name; "" for none."""
    files = authority.issue(name) if name else (Path(), Path())
    return Link((f"tls://{host}:{port}",), tls_context(authority.path, *files))


def test_who_has_a_certificate_is_let_in(server: NatsServer, authority: Authority) -> None:
    """By the name in it; nobody else is, and each is told why."""
    assert why(link(authority, server.port, "oest")) == ""
    assert why(link(authority, server.port, "nord")) == (
        "the NATS server does not accept who we are"
    )
    assert "TLS with it fails" in why(link(authority, server.port, "")) or why(
        link(authority, server.port, "")
    )


def test_a_server_is_known_by_its_certificate(
    server: NatsServer, authority: Authority, tmp_path: Path
) -> None:
    """One of another authority, or of another name, hears nothing."""
    other = Authority(tmp_path, "other")
    strange = Link(
        (f"tls://127.0.0.1:{server.port}",), tls_context(other.path, *authority.issue("oest"))
    )

    assert "its certificate is not accepted" in why(strange)
    assert "see web.nats.ca_file" in why(strange)
    named = link(authority, server.port, "oest", host="localhost")
    assert "its certificate is not accepted" in why(named)


def test_a_server_that_speaks_in_the_clear_hears_nothing(authority: Authority) -> None:
    """Who poses as one can't talk a branch out of TLS: not a name, not a password goes out.

    nats-py by itself asks the server first, and believes it.
    """
    with saying(INFO) as (port, heard):
        told = why(link(authority, port, "oest"))

    assert told
    assert b"CONNECT" not in heard


@pytest.mark.parametrize(
    "flood",
    [
        b"MSG doorctl.branch.oest 1 999999999999\r\n" + b"x" * 400_000,
        b"MSG " + b"x" * 400_000,
        b"HMSG a 1 b 900000 900000\r\n" + b"x" * 400_000,
    ],
)
def test_what_is_longer_than_any_message_ends_the_connection(flood: bytes) -> None:
    """A captured server can't fill a branch's memory with what it announces."""

    async def connecting(port: int) -> bool:
        """Connect."""
        async with connected(Link((f"nats://127.0.0.1:{port}",), None)) as connection:
            await asyncio.wait_for(connection.ended.wait(), LIMIT_S)
            return connection.client.is_closed

    with saying(INFO, b"PONG\r\n" + flood) as (port, _):
        assert asyncio.run(connecting(port))


@pytest.mark.parametrize(
    "said",
    [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"INFO {\r\n", b"INFO []\r\n", b"\xff" * 70_000],
)
def test_what_is_no_server_is_one_line(said: bytes) -> None:
    """And nothing of what it says is in it."""
    with saying(said) as (port, _):
        told = why(Link((f"nats://127.0.0.1:{port}",), None))

    assert told
    assert "400" not in told


def test_every_failure_is_known() -> None:
    """Of what nats-py raises nothing passes by."""
    assert all(
        issubclass(kind, LOST)
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, Exception)
    )


def test_all_that_a_run_asks_goes_by_one_connection(tmp_path: Path) -> None:
    """From many threads at once; the server counts one client, and none after the end.

    Bug (CI, a busy machine): whoever had looked whether the server listens was counted a moment
    later, as a second client (the tests' own).
    """
    with serving_nats(tmp_path, MONITORED.replace("{http}", str(http := free_port()))) as server:
        until(lambda: clients(http) == {"num_connections": 0, "total": 1})
        shared = SharedConnection(Link((server.url,), None))

        async def rtt(connection: Connection) -> Connection:
            await connection.client.flush(5)
            return connection

        with ThreadPoolExecutor(20) as pool:
            connections = set(pool.map(lambda _: shared.within(LIMIT_S, rtt), range(100)))
        during = clients(http)
        shared.close()
        until(lambda: clients(http)["num_connections"] == 0)

    assert len(connections) == 1
    assert during == {"num_connections": 1, "total": 2}


def test_a_shared_connection_that_was_lost_is_made_anew(tmp_path: Path) -> None:
    """What is asked while there is no server fails with the reason; afterwards it goes on."""

    async def rtt(connection: Connection) -> None:
        await connection.client.flush(5)

    with serving_nats(tmp_path) as server:
        shared = SharedConnection(Link((server.url,), None))
        shared.within(LIMIT_S, rtt)
        server.end()
        with pytest.raises(LOST):
            shared.within(LIMIT_S, rtt)
        server.start()
        until(lambda: went(shared, rtt))
        shared.close()


def went(shared: SharedConnection, work: Callable[[Connection], Awaitable[None]]) -> bool:
    """Tell whether it goes."""
    with suppress(*LOST):
        shared.within(LIMIT_S, work)
        return True
    return False


def clients(port: int) -> dict[str, int]:
    """Return how many clients a server has, and has had in all."""
    with urlopen(f"http://127.0.0.1:{port}/varz") as answer:
        said = json.load(answer)
    return {"num_connections": said["connections"], "total": said["total_connections"]}
