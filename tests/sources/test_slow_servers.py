"""No server, however slowly it goes on, keeps a client beyond its own limit over the whole talk.

Bug (second penetration test, S7): webhook, heartbeat and WebDAV had a limit for each silence only,
so a server that sent a header a second held their thread for as long as it liked; and so did a
branch with its sender, whose next run waits for the last one.
"""

from __future__ import annotations

import gc
import re
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.fakes.waiting import until
from tests.mutation.rooms import ROOT
from tests.notices.mail_server import dripping
from tests.sources.clients import (
    CLIENTS,
    OVER_HTTP,
    WITHOUT_BODY,
    Ask,
    mail,
    name_of,
    sftp,
    sip2,
)
from tests.sources.stages import BRIEF_S
from tests.web.certificates import Authority

HEAD = b"HTTP/1.1 200 OK\r\n"
LENGTH = b"Content-Length: 60000\r\n\r\n"
HELLO = b"\x16\x03\x03\x3f\xf0\x02\x00\x3f\xec\x03\x03"
"""How TLS begins: a record of 16 KiB, with a server's greeting as long."""

TLS_S = 2.0
"""A fifth of it is left to close a connection whose TLS took too long: a loop that comes late by
more would be cancelled amid it, and httpx2 forgets such a connection."""

OWN_WORDS = {
    "oidc": "the identity provider: ",
    "website": "the website's hours: the answer: did not come: ",
    "export": "the export was not fetched: ",
    "webhook": "the webhook: ",
    "heartbeat": "the heartbeat: ",
    "mail": "the mail server 127.0.0.1:{port}: ",
    "nats": "the NATS server: ",
    "by_starttls": "the mail server 127.0.0.1:{port}: ",
}


def each(asks: Sequence[Ask]) -> pytest.MarkDecorator:
    """Run a test for each client."""
    return pytest.mark.parametrize("ask", asks, ids=name_of)


def ended_by_its_limit(
    ask: Ask,
    first: bytes,
    again: bytes,
    authority: Path | None = None,
    replies: Sequence[bytes] = (),
    *,
    limit_s: float = BRIEF_S,
) -> None:
    """Ask a server that never gets to an end; see that the client's own limit ends it.

    Nothing of the talk is left: no thread holds on to the connection.
    """
    with dripping(first, again, replies) as (port, outlasted):
        told = ask(port, authority, limit_s)
        own = OWN_WORDS.get(name_of(ask), "").format(port=port)

        assert told == f"{own}it does not answer in time"
        until(lambda: not [on for on in threading.enumerate() if on.name == "asking"])
        assert not outlasted.is_set()
    # A connection that was left open fails the test that left it, and no later one.
    gc.collect()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority to believe, which has issued nothing."""
    return Authority(tmp_path_factory.mktemp("authority"), "ours").path


@each(CLIENTS)
def test_a_byte_now_and_then(ask: Ask) -> None:
    """Never a whole line."""
    ended_by_its_limit(ask, b"", b"2")


@each(OVER_HTTP)
def test_a_header_now_and_then(ask: Ask) -> None:
    """Whole lines, and never the last of them."""
    ended_by_its_limit(ask, HEAD, b"X-More: 1\r\n")


@each([ask for ask in OVER_HTTP if ask not in WITHOUT_BODY])
def test_a_byte_of_the_body_now_and_then(ask: Ask) -> None:
    """As long as was promised, some time."""
    ended_by_its_limit(ask, HEAD + LENGTH, b" ")


@pytest.mark.parametrize(("ask", "again"), [(mail, b"220-still\r\n"), (sip2, b"\r\n")])
def test_lines_that_lead_nowhere(ask: Ask, again: bytes) -> None:
    """A greeting that goes on, and empty messages."""
    ended_by_its_limit(ask, b"", again)


@each(CLIENTS)
def test_a_byte_of_tls_now_and_then(ask: Ask, authority: Path) -> None:
    """Before a certificate was shown, too."""
    ended_by_its_limit(ask, HELLO, b"\x00", authority, limit_s=TLS_S)


def by_starttls(port: int, authority: Path | None, limit_s: float) -> str:
    """Send an alarm by mail, encrypted after the first words."""
    return mail(port, authority, limit_s, security="starttls")


def test_a_byte_of_starttls_now_and_then(authority: Path) -> None:
    """Where a connection is encrypted only after its first words."""
    replies = (b"250-mail\r\n250 STARTTLS\r\n", b"220 go ahead\r\n", HELLO)
    ended_by_its_limit(by_starttls, b"220 mail\r\n", b"\x00", authority, replies)


def test_openssh_is_ended_too() -> None:
    """The programs that speak SSH for us end with the limit, and say so in one line."""
    with dripping(b"", b"2") as (port, outlasted):
        assert sftp(port, None, BRIEF_S) == f"sftp took more than {BRIEF_S:g} s"
        assert not outlasted.is_set()


def test_no_client_is_left_out() -> None:
    """Whatever opens a connection to another machine is in a file whose clients are held to this.

    `setup` looks up names, and asks nobody.
    """
    opens = re.compile(
        r"\b(AsyncClient|Client|SMTP|SMTP_SSL|create_connection|open_connection|urlopen)\(|which\(\"sftp\""
    )
    files = {
        str(file.relative_to(ROOT))
        for file in (ROOT / "doorctl").rglob("*.py")
        if opens.search(file.read_text("utf-8"))
    }

    assert files == {
        "doorctl/notices/mail.py",
        "doorctl/notices/webhook.py",
        "doorctl/admin/backup.py",
        "doorctl/sources/branches.py",
        "doorctl/sources/http_library.py",
        "doorctl/extras/fetching/http.py",
        # Its limits are its own: tests/extras/test_fetching_sftp.py.
        "doorctl/extras/fetching/sftp.py",
        "doorctl/extras/fleet/connection.py",
        "doorctl/extras/oidc/provider.py",
        "doorctl/extras/sip2/client.py",
        "doorctl/extras/website/website.py",
    }
