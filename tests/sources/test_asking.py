"""What all clients of other machines keep to, whoever answers there, or does not."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import date
from functools import partial
from pathlib import Path

import pytest

from doorctl.config.tables import AlarmEmail, Lms, Oidc
from doorctl.core.asking import read_password, trusting, unreached, within
from doorctl.core.errors import DoorctlError, KeyFileError
from doorctl.core.masked import Masked, Pin
from doorctl.notices.ways import DeadMansSwitch, MailSink, WebhookSink
from doorctl.sources.branches import HttpBranch, tls_context
from doorctl.sources.hours import HoursRequest, Website
from doorctl.sources.library import FbsLibrary
from doorctl.sources.oidc import OidcProvider
from doorctl.sync.delivery import Away
from tests.fakes.clock import FakeClock
from tests.fakes.waiting import LIMIT_S
from tests.notices.mail_server import dripping, speaking
from tests.notices.samples import a_notice
from tests.sources.stages import BRIEF_S, card, nobody_listens, sip2_library
from tests.web.certificates import Authority

CARD, PIN, SECRET = "3000001234", "4711", "a-shared-Secret~1"


def why(ask: Callable[[], object]) -> str:
    """Return why nothing came of a question, which told nobody a PIN."""
    with pytest.raises(DoorctlError) as caught:
        ask()
    assert not getattr(caught.value, "spent", False)
    return str(caught.value)


def address(port: int, authority: Path | None) -> tuple[str, ssl.SSLContext]:
    """Return what listens there, by TLS where there is an authority, and whom to believe."""
    scheme = "http" if authority is None else "https"
    return f"{scheme}://127.0.0.1:{port}", trusting(authority or Path())


def fbs(port: int, authority: Path | None, limit_s: float) -> str:
    """Ask about a card."""
    url, ca_file = address(port, authority)[0], authority or Path()
    lms = Lms(kind="fbs", url=url, user="doorctl", ca_file=ca_file, timeout_s=limit_s)
    library = FbsLibrary(lms, Masked(SECRET))
    return why(partial(library.ask, card(CARD), Pin(PIN), row_wanted=True))


def sip2(port: int, authority: Path | None, limit_s: float) -> str:
    """Ask about a card, after a login."""
    library = sip2_library(port, limit_s, ca_file=authority)
    return why(partial(library.ask, card(CARD), Pin(PIN), row_wanted=True))


def oidc(port: int, authority: Path | None, limit_s: float) -> str:
    """Begin a sign-in."""
    url, context = address(port, authority)
    provider = OidcProvider(
        Oidc(issuer=url), Masked(SECRET), context, FakeClock().moment, limit_s=limit_s
    )
    return why(provider.begin)


def website(port: int, authority: Path | None, limit_s: float) -> str:
    """Ask for a day's hours."""
    url, context = address(port, authority)
    request = HoursRequest("12", date(2026, 3, 2), date(2026, 3, 2))
    return why(partial(Website(url, limit_s=limit_s, context=context).opening_hours, request))


def branch(port: int, authority: Path | None, limit_s: float) -> str:
    """Ask which push a branch holds."""
    url, context = address(port, None)[0], tls_context(authority or Path(), Path(), Path())
    url = url if authority is None else url.replace("http:", "https:")
    with closing(HttpBranch("oest", url, context, ask_s=limit_s)) as asked:
        answer = asked.held()
    assert isinstance(answer, Away)
    return answer.why


def webhook(port: int, authority: Path | None, limit_s: float) -> str:
    """Post an alarm."""
    url, context = address(port, authority)
    with closing(WebhookSink(url, Masked(SECRET), context, silence_s=limit_s)) as sink:
        return why(partial(sink.send, a_notice()))


def heartbeat(port: int, authority: Path | None, limit_s: float) -> str:
    """Say that all is well."""
    with closing(DeadMansSwitch(*address(port, authority), silence_s=limit_s)) as switch:
        return why(switch.beat)


def mail(port: int, authority: Path | None, limit_s: float) -> str:
    """Send an alarm by mail."""
    email = AlarmEmail(
        host="127.0.0.1",
        port=port,
        security="none" if authority is None else "tls",
        sender="a@r.example",
        to=("b@r.example",),
    )
    context = trusting(authority or Path())
    sink = MailSink(email, context, silence_s=limit_s, total_s=3 * limit_s)
    return why(partial(sink.send, a_notice()))


Ask = Callable[[int, Path | None, float], str]

WITH_A_LIMIT_OVER_ALL = [fbs, sip2, oidc, website, mail]
each_client = pytest.mark.parametrize(
    "ask", [*WITH_A_LIMIT_OVER_ALL, branch, webhook, heartbeat], ids=lambda ask: ask.__name__
)


@contextmanager
def listening(certificate: tuple[Path, Path]) -> Iterator[tuple[int, list[bytes]]]:
    """Serve TLS on a port; yield it, and what callers say once they believe the certificate."""
    heard: list[bytes] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)

    def hear() -> None:
        with suppress(OSError):
            while True:
                line, _ = listener.accept()
                with suppress(OSError), context.wrap_socket(line, server_side=True) as safe:
                    safe.settimeout(BRIEF_S)
                    heard.append(b"")
                    heard.append(safe.recv(9))

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


@pytest.mark.parametrize("ask", WITH_A_LIMIT_OVER_ALL, ids=lambda ask: ask.__name__)
def test_a_byte_now_and_then_keeps_nobody_waiting(ask: Ask) -> None:
    """The limit is one over the whole answer, not from byte to byte."""
    with dripping() as (port, outlasted):
        assert ask(port, None, BRIEF_S)
        assert not outlasted.is_set()


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
    assert ("see lms.ca_file" in told) == (ask in {fbs, sip2})
    assert heard == []
    with listening(ours.issue("theirs")) as (port, heard):
        assert "certificate" not in ask(port, ours.path, LIMIT_S)
    assert heard


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


# One limit over a whole question, on a thread of its own.


async def seven() -> int:
    """Return a number after a while."""
    await asyncio.sleep(0)
    return 7


async def fail() -> int:
    """Raise after a while."""
    await asyncio.sleep(0)
    raise LookupError


def test_what_the_work_does_is_what_comes() -> None:
    """A result is returned and an error is raised, as if there were no thread between."""
    assert within(LIMIT_S, seven) == 7
    with pytest.raises(LookupError):
        within(LIMIT_S, fail)


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
        within(0.05, hang)

    assert cancelled.wait(LIMIT_S)


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
        within(0.05, cling)
    over.set()
