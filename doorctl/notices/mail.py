"""Alarms by e-mail, through the municipality's own mail server, and their words."""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import KW_ONLY, dataclass, field
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from functools import partial
from typing import TypeVar

from doorctl.config.tables import AlarmEmail
from doorctl.core.alarms import Urgency
from doorctl.core.asking import Talks, unreached
from doorctl.core.errors import ConfigError
from doorctl.core.masked import Masked
from doorctl.core.moments import ClockState
from doorctl.core.ports import Notice, NotSentError

AnswerT = TypeVar("AnswerT")

SILENCE_S = 10.0
"""Longest wait for one answer, or one piece of it."""

TOTAL_S = 60.0
"""Longest time for all of it, from the lookup of the name to the last byte."""

HELLO = "[127.0.0.1]"
"""Our name in EHLO. Python would ask the name server for it, with no time limit."""

GREETING = 220
"""Greeting of a mail server that accepts messages (RFC 5321)."""

URGENCY = {
    Urgency.NOW: "NOW",
    Urgency.TODAY: "Today",
    Urgency.NOTE: "For information",
}


def translated(text: str, language: str) -> str:
    """Return a text about alarms in ``da`` or ``en``, in English where no catalogue can be read."""
    # Imported here to save memory: a sender has seldom anything to tell.
    from doorctl.core.language import own  # noqa: PLC0415 - as said

    with suppress(ConfigError):
        return own(language).words.pgettext("alarm", text)
    return text


@dataclass(eq=False, repr=False)
class MailSink:
    """Send each notice as one plain-text message, in ``da`` or ``en``; implements `AlarmSink`.

    The TLS `context` checks the server's certificate and name; without a password the server asks
    for no account.
    """

    email: AlarmEmail
    context: ssl.SSLContext
    _: KW_ONLY
    language: str = "da"
    password: Masked[str] | None = None
    silence_s: float = SILENCE_S
    total_s: float = TOTAL_S
    _talks: Talks = field(default_factory=Talks, init=False)

    def send(self, notice: Notice) -> None:
        """Send it; the server must accept every address, else it counts as not sent."""
        with self._telling():
            message = written(notice, self.email, self.language)
            refused = self._talk(lambda server: server.send_message(message))
        if refused:
            raise NotSentError(f"the mail server does not take {len(refused)} of alarms.email.to")

    def greet(self) -> None:
        """Connect, encrypted as it is to be, and leave; NotSentError says what is not there."""
        with self._telling():
            self._talk(lambda _server: None)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Turn what fails into NotSentError, without a word of what came through the line."""
        try:
            yield
        except smtplib.SMTPResponseException as err:
            # Its words may repeat the account or an address.
            raise NotSentError(f"the mail server refuses it (code {err.smtp_code})") from None
        except smtplib.SMTPRecipientsRefused:
            raise NotSentError("the mail server takes none of alarms.email.to") from None
        except smtplib.SMTPNotSupportedError:
            raise NotSentError(
                "the mail server does not offer what alarms.email.security or user needs"
            ) from None
        except (OSError, smtplib.SMTPException) as err:
            where, why = f"{self.email.host}:{self.email.port}", unreached(err, "alarms.email")
            raise NotSentError(f"the mail server {where}: {why}") from None
        except ValueError as err:
            raise NotSentError(f"the message can't be written ({type(err).__name__})") from None

    def _talk(self, say: Callable[[smtplib.SMTP], AnswerT]) -> AnswerT:
        line = _Line()

        def talk() -> AnswerT:
            with line.closed_at_the_end(), self._opened(line) as server:
                return say(server)

        return self._talks.within_or_cut(self.total_s, talk, line.cut)

    @contextmanager
    def _opened(self, line: _Line) -> Iterator[smtplib.SMTP]:
        email, server = self.email, smtplib.SMTP(local_hostname=HELLO, timeout=self.silence_s)
        # STARTTLS compares the certificate's name with this, which the constructor would set: but
        # that would also connect, and by a connection that can't be cut off.
        server._host = email.host  # type: ignore[attr-defined]  # noqa: SLF001
        try:
            server.sock = line.connected(email.host, email.port, self.silence_s)
            if email.security == "tls":
                server.sock = self.context.wrap_socket(server.sock, server_hostname=email.host)
            code, words = server.getreply()
            if code != GREETING:
                raise smtplib.SMTPConnectError(code, words)
            if email.security == "starttls":
                server.starttls(context=self.context)
            if self.password is not None:
                server.login(email.user, self.password.reveal())
            yield server
            with suppress(OSError, smtplib.SMTPException):
                # The message was accepted; how the server says good-bye does not matter.
                server.quit()
        finally:
            server.close()


class _Line:
    """A connection that another thread can cut off at any moment, amid TLS's first words too."""

    def __init__(self) -> None:
        self._kept: socket.socket | None = None
        self._over = False

    def connected(self, host: str, port: int, silence_s: float) -> socket.socket:
        made = socket.create_connection((host, port), silence_s)
        # TLS takes a socket's descriptor away from it, and leaves this one.
        self._kept = made.dup()
        if self._over:
            made.close()
            raise TimeoutError
        return made

    def cut(self) -> None:
        self._over = True
        if self._kept is not None:
            with suppress(OSError):
                self._kept.shutdown(socket.SHUT_RDWR)

    @contextmanager
    def closed_at_the_end(self) -> Iterator[None]:
        try:
            yield
        finally:
            if self._kept is not None:
                self._kept.close()


def written(notice: Notice, email: AlarmEmail, language: str) -> EmailMessage:
    """Return the message; no text of a notice can add a header or an address to it."""
    message = EmailMessage(policy=SMTP)
    urgency = translated(URGENCY[notice.known.urgency], language)
    means = translated(notice.known.means, language)
    message["Subject"] = f"{urgency}: {notice.branch}: {means}"
    message["From"] = Address("doorctl", addr_spec=email.sender)
    message["To"] = [Address(addr_spec=address) for address in email.to]
    message["Date"] = format_datetime(notice.at)
    message["Message-ID"] = f"<{notice.id}@{email.sender.partition('@')[2]}>"
    # RFC 3834: so that no absence notice answers it.
    message["Auto-Submitted"] = "auto-generated"
    message.set_content("\n".join(lines(notice, language)), charset="utf-8", cte="quoted-printable")
    return message


def lines(notice: Notice, language: str) -> Iterator[str]:
    """Yield the lines of the message."""
    say = partial(translated, language=language)
    when = f"{notice.at:%Y-%m-%d %H:%M}"
    if notice.clock is ClockState.UNTRUSTED:
        when = f"{when} ({say('the clock is not set')})"
    yield say(notice.known.means)
    yield ""
    yield f"{say('Do')}: {say(notice.known.act)}"
    yield f"{say('When')}: {when}"
    yield f"{say('Where')}: {notice.branch}"
    if notice.why:
        yield f"{say('Why')}: {notice.why}"
    if notice.times > 1:
        yield f"{say('Times since the last notice')}: {notice.times}"
    yield f"{say('Alarm')}: {notice.kind}"
