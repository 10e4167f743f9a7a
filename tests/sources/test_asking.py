"""What all clients of other machines keep to, whoever answers there, or does not."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from doorctl.core.asking import MOST_LEFT, Talks, read_password, trusting, unreached
from doorctl.core.errors import KeyFileError
from tests.fakes.waiting import LIMIT_S, until
from tests.notices.mail_server import speaking
from tests.sources.clients import (
    CARD,
    CLIENTS,
    PIN,
    SECRET,
    Ask,
    fbs,
    folio,
    koha,
    name_of,
    sip2,
)
from tests.sources.stages import BRIEF_S, nobody_listens
from tests.web.certificates import Authority

each_client = pytest.mark.parametrize("ask", CLIENTS, ids=name_of)


@contextmanager
def listening(
    certificate: tuple[Path, Path], wanted: Path | None = None
) -> Iterator[tuple[int, list[bytes]]]:
    """Serve TLS on a port; yield it, and what callers say once they believe the certificate.

    With `wanted` only callers with a certificate of that authority are heard.
    """
    heard: list[bytes] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    if wanted is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(wanted)

    def hear() -> None:
        with suppress(OSError):
            while True:
                line, _ = listener.accept()
                with line.dup() as bare:
                    with suppress(OSError), context.wrap_socket(line, server_side=True) as safe:
                        safe.settimeout(BRIEF_S)
                        heard.append(b"")
                        heard.append(safe.recv(9))
                        continue
                    # Closed before all was read, it would take our last words away with it.
                    bare.shutdown(socket.SHUT_WR)
                    while bare.recv(65_536):
                        pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=hear)
        thread.start()
        yield listener.getsockname()[1], heard
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


@each_client
def test_nobody_there_is_told(ask: Ask) -> None:
    """The operating system's own word says that it is no certificate and no password."""
    port = int(nobody_listens().split(":")[2].split("/")[0])

    assert "no connection (Connection refused)" in ask(port, None, LIMIT_S)


@each_client
def test_who_says_nothing_is_not_waited_for(ask: Ask) -> None:
    """A connection that is taken and never answered ends by the limit."""
    with speaking(b"", hold=threading.Event()) as port:
        assert "it does not answer in time" in ask(port, None, BRIEF_S)


@each_client
@pytest.mark.parametrize("said", [b"HTTP/1.1 200 OK\r\n3000001234\r\n", b"220 mail\r\n"])
def test_who_hangs_up_is_told_and_not_repeated(ask: Ask, said: bytes) -> None:
    """At whatever word it breaks off, it is our own error, without what came or went."""
    with speaking(said) as port:
        told = ask(port, None, LIMIT_S)

    assert told
    assert not any(secret in told for secret in (CARD, PIN, SECRET))


@each_client
def test_an_impostor_is_told_nothing(ask: Ask, tmp_path: Path) -> None:
    """Over TLS the certificate is checked before the first word."""
    ours, theirs = Authority(tmp_path, "ours"), Authority(tmp_path, "theirs")
    with listening(theirs.issue("impostor")) as (port, heard):
        told = ask(port, ours.path, LIMIT_S)
    assert "its certificate is not accepted: " in told
    assert ("see lms.ca_file" in told) == (ask in {fbs, sip2, koha, folio})
    assert heard == []
    with listening(ours.issue("theirs")) as (port, heard):
        assert "certificate" not in ask(port, ours.path, LIMIT_S)
    assert heard


@each_client
def test_a_server_that_wants_our_certificate_is_told(ask: Ask, tmp_path: Path) -> None:
    """It says so only after our first words, as TLS 1.3 has it.

    Bug (found with S7): a sign-in at such a provider, and hours of such a website, ended in a fault
    of ours.
    """
    ours = Authority(tmp_path, "ours")
    with listening(ours.issue("theirs"), wanted=ours.path) as (port, heard):
        told = ask(port, ours.path, LIMIT_S)

    assert "TLS with it fails (TLSV13_ALERT_CERTIFICATE_REQUIRED)" in told
    assert heard == []


@each_client
def test_who_speaks_no_tls_is_told_nothing(ask: Ask, tmp_path: Path) -> None:
    """Port and encryption that do not fit each other are a common mistake."""
    with speaking(b"220 mail.example ESMTP\r\n") as port:
        assert "TLS with it fails" in ask(port, Authority(tmp_path, "ours").path, LIMIT_S)


def test_a_name_that_nobody_has_is_told() -> None:
    """A failed lookup has words of its own, and what came in an answer is never repeated."""
    lookup = ConnectionError("3000001234")
    lookup.__cause__ = socket.gaierror(-2, "Name or service not known")

    assert unreached(lookup) == "no connection (Name or service not known)"
    assert unreached(ValueError("3000001234")) == "it breaks off in the middle of an answer"


def written(path: Path, content: bytes, mode: int = 0o600) -> Path:
    """Write a file with a mode."""
    path.write_bytes(content)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\n\n"])
def test_a_password_is_a_line(tmp_path: Path, end: bytes) -> None:
    """The line's end is no part of it, and it can't be printed."""
    password = read_password(written(tmp_path / "p", b"a-Password~1" + end))

    assert password.reveal() == "a-Password~1"
    assert "Password~1" not in repr(password)


def test_systemds_copy_is_readable(tmp_path: Path) -> None:
    """A credential has mode 0440; only a file that everybody can read is refused."""
    assert read_password(written(tmp_path / "p", b"secret", 0o440)).reveal() == "secret"
    with pytest.raises(KeyFileError, match="can be read by everybody; run `chmod 600"):
        read_password(written(tmp_path / "p", b"secret", 0o604))


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"two\nrows", b"a|b", b"a b", b"\xe6\xf8\xe5", b"a\x00", b"x" * 257]
)
def test_what_is_no_password_is_refused(tmp_path: Path, content: bytes) -> None:
    """What could end a field, or can't be sent as it stands, is told without being shown."""
    with pytest.raises(KeyFileError, match="does not hold a password") as caught:
        read_password(written(tmp_path / "p", content))

    held = content.decode("latin-1").strip()
    assert not held or held not in str(caught.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    """The path stands in the message; a directory and a named pipe are no password either."""
    with pytest.raises(KeyFileError, match="No such file"):
        read_password(tmp_path / "missing")
    with pytest.raises(KeyFileError):
        read_password(tmp_path)
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(KeyFileError):
        read_password(tmp_path / "pipe")


def test_an_authority_is_a_pem_file(tmp_path: Path) -> None:
    """Without one the system's are believed; what is none is told with its path."""
    assert trusting(Path()).check_hostname
    with pytest.raises(KeyFileError, match="holds no certificate authority in PEM"):
        trusting(written(tmp_path / "ca.pem", b"nothing"))
    with pytest.raises(KeyFileError, match=r"missing\.pem holds no"):
        trusting(tmp_path / "missing.pem")


# One limit over a whole talk, on a thread of its own.


async def seven() -> int:
    """Return a number after a while."""
    await asyncio.sleep(0)
    return 7


async def fail() -> int:
    """Raise after a while."""
    await asyncio.sleep(0)
    raise LookupError


def nothing() -> None:
    """Cut off what can't be."""


def test_what_the_work_does_is_what_comes() -> None:
    """A result is returned and an error is raised, as if there were no thread between."""
    talks = Talks()

    assert talks.within(LIMIT_S, seven) == 7
    assert talks.within_or_cut(LIMIT_S, lambda: 8, nothing) == 8
    with pytest.raises(LookupError):
        talks.within(LIMIT_S, fail)


def test_what_takes_too_long_is_cancelled() -> None:
    """The asker goes on, and the work hears that it is over."""
    cancelled = threading.Event()

    async def hang() -> None:
        """Take for ever."""
        try:
            await asyncio.sleep(LIMIT_S)
        finally:
            cancelled.set()

    with pytest.raises(TimeoutError):
        Talks().within(0.05, hang)

    assert cancelled.wait(LIMIT_S)


def test_what_blocks_too_long_is_cut_off() -> None:
    """By whoever waits for it, since nothing else can end it."""
    cut = threading.Event()

    with pytest.raises(TimeoutError):
        Talks().within_or_cut(0.05, lambda: cut.wait(LIMIT_S), cut.set)

    assert cut.is_set()


def test_work_that_does_not_end_keeps_nobody() -> None:
    """Even what can't be cancelled, as a hanging clean-up, is left behind."""
    over = threading.Event()

    async def cling() -> None:
        """Take for ever, whatever is asked of it."""
        while not over.is_set():
            try:
                await asyncio.sleep(0.05)
            except asyncio.CancelledError:
                continue

    with pytest.raises(TimeoutError):
        Talks().within(0.05, cling)
    over.set()


def test_what_was_left_behind_does_not_pile_up() -> None:
    """A name server that hangs costs a few threads, however often it is asked; another's is free.

    Bug (second penetration test, S7): each talk that could not be ended left one more thread.
    """
    over, talks, begun = threading.Event(), Talks(), list[None]()

    def hang() -> None:
        begun.append(None)
        over.wait(LIMIT_S)

    try:
        for _ in range(3 * MOST_LEFT):
            with pytest.raises(TimeoutError):
                talks.within_or_cut(0.02, hang, nothing)
        assert len(begun) == MOST_LEFT
        assert Talks().within(LIMIT_S, seven) == 7
    finally:
        over.set()

    def again() -> int | None:
        with suppress(TimeoutError):
            return talks.within(LIMIT_S, seven)
        return None

    assert until(again) == 7
