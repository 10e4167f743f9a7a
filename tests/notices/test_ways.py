"""Alarms by e-mail and by webhook, and the dead-man's switch: through real servers."""

from __future__ import annotations

import hashlib
import hmac
import json
import ssl
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.config.tables import AlarmEmail
from doorctl.core.alarms import KINDS
from doorctl.core.errors import NotAnsweringError
from doorctl.core.masked import Masked
from doorctl.core.moments import ClockState
from doorctl.core.ports import Notice, NotSentError
from doorctl.notices.mail import MailSink, lines, written
from doorctl.notices.webhook import DeadMansSwitch, WebhookSink
from doorctl.web.heartbeat import BEAT_AFTER_S, BEAT_EVERY_S, BEAT_TURN_S, Heartbeat
from tests.fakes.clock import FakeClock
from tests.fakes.event_log import FakeEventLog
from tests.notices.mail_server import PASSWORD, USER, Mailroom, mail_server, speaking
from tests.notices.samples import BRANCH, a_notice
from tests.sources.http_server import Script, serving
from tests.web.certificates import Authority

TO = ("vagt@randers.example", "teknik@randers.example")
LONG_S = 30.0


def route(port: int, security: str = "none", **changes: Any) -> AlarmEmail:
    """Return a route to a server on this machine."""
    known: dict[str, Any] = {"host": "127.0.0.1", "sender": "doorctl@randers.example", "to": TO}
    return AlarmEmail(**{**known, "port": port, "security": security, **changes})


def sink(where: AlarmEmail, authority: Path | None = None, **more: Any) -> MailSink:
    """Return a sink that believes one authority."""
    return MailSink(where, ssl.create_default_context(cafile=authority), **more)


def distrusted() -> AbstractContextManager[object]:
    """Expect that the certificate is not accepted."""
    return pytest.raises(NotSentError, match="certificate is not accepted")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Return whom both ends believe."""
    return Authority(tmp_path_factory.mktemp("mail"), "authority")


@pytest.fixture(scope="module")
def certificate(authority: Authority) -> ssl.SSLContext:
    """Return the mail server's certificate, for 127.0.0.1."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.issue("mail"))
    return context


@pytest.fixture
def room() -> Mailroom:
    """Return what takes the mail."""
    return Mailroom()


def test_a_message_says_what_and_what_to_do(room: Mailroom) -> None:
    """Danish letters arrive; it is one part of plain text, and no machine answers to it."""
    notice = a_notice("door_forced", "kontakten sprang op", times=3)
    with mail_server(room) as port:
        sink(route(port)).send(notice)

    (message,) = room.messages
    assert message["Subject"] == (
        "NU: Randers Bibliotek, Øst: Døren blev åbnet uden kort eller knap."
    )
    assert (message["From"], message["To"]) == (
        "doorctl <doorctl@randers.example>",
        ", ".join(TO),
    )
    assert room.envelopes == [("doorctl@randers.example", list(TO))]
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Date"] == "Mon, 02 Mar 2026 19:04:05 +0100"
    assert message["Message-ID"] == f"<{notice.id}@randers.example>"
    assert message.get_content_type() == "text/plain"
    assert message.get_content().splitlines() == [
        "Døren blev åbnet uden kort eller knap.",
        "",
        "Gør: Se efter ved døren, eller ring til vagten.",
        "Hvornår: 2026-03-02 19:04",
        "Hvor: Randers Bibliotek, Øst",
        "Hvorfor: kontakten sprang op",
        "Antal siden sidst: 3",
        "Alarm: door_forced",
    ]
    assert room.raw[0].isascii()


def test_english_is_spoken_where_it_is_asked_for() -> None:
    """The same in English; a time by a clock that nobody vouches for is marked."""
    notice = a_notice("stalled", clock=ClockState.UNTRUSTED)

    assert list(lines(notice, "en")) == [
        "The door process stood still; what was typed is void.",
        "",
        "Do: Check power supply and SD card if it happens again.",
        "When: 2026-03-02 19:04 (the clock is not set)",
        f"Where: {BRANCH}",
        "Alarm: stalled",
    ]


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_the_way_is_encrypted_before_the_password_is_said(
    security: str, room: Mailroom, authority: Authority, certificate: ssl.SSLContext
) -> None:
    """By either kind of TLS, with an account: the server asks for both."""
    account = {"password": Masked(PASSWORD)} if security == "starttls" else {}
    with mail_server(
        room,
        starttls=certificate if security == "starttls" else None,
        tls=certificate if security == "tls" else None,
        account=security == "starttls",
    ) as port:
        sink(route(port, security, user=USER), authority.path, **account).send(a_notice())

    assert len(room.messages) == 1


def test_a_wrong_password_is_told_without_it(
    room: Mailroom, authority: Authority, certificate: ssl.SSLContext
) -> None:
    """The code says what to look for; account and password stand nowhere."""
    with mail_server(room, starttls=certificate, account=True) as port:
        where = route(port, "starttls", user=USER)
        with pytest.raises(NotSentError, match=r"refuses it \(code 535\)") as caught:
            sink(where, authority.path, password=Masked("another")).send(a_notice())

    assert "another" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert "another" not in repr(where)


@pytest.mark.parametrize("security", ["starttls", "tls"])
@pytest.mark.parametrize("known", [False, True], ids=["an unknown authority", "another name"])
def test_nothing_is_sent_to_a_server_that_is_not_believed(
    security: str, room: Mailroom, authority: Authority, certificate: ssl.SSLContext, *, known: bool
) -> None:
    """By either kind of TLS: of an authority that nobody knows, or for another name."""
    starttls, tls = (certificate, None) if security == "starttls" else (None, certificate)
    with mail_server(room, starttls=starttls, tls=tls) as port, distrusted():
        here = route(port, security, host="localhost" if known else "127.0.0.1")
        (sink(here, authority.path) if known else sink(here)).send(a_notice())

    assert room.messages == []


def test_nothing_is_sent_in_the_clear_where_tls_is_wanted(
    room: Mailroom, authority: Authority
) -> None:
    """A server, or somebody on the way, that leaves STARTTLS out gets nothing."""
    with mail_server(room) as port, pytest.raises(NotSentError, match="does not offer"):
        sink(route(port, "starttls"), authority.path).send(a_notice())

    assert room.messages == []


def test_a_refusal_is_told_by_its_code(room: Mailroom) -> None:
    """The mail server's own words may repeat an address; they are not repeated."""
    room.answer = "451 4.3.0 vagt@randers.example is over quota"
    with mail_server(room) as port, pytest.raises(NotSentError) as caught:
        sink(route(port)).send(a_notice())

    assert str(caught.value) == "the mail server refuses it (code 451)"


def test_every_address_must_be_taken(room: Mailroom) -> None:
    """An alarm that half of the list got counts as not sent, and the number says so."""
    room.refused = TO[:1]
    with (
        mail_server(room) as port,
        pytest.raises(NotSentError, match=r"does not take 1 of alarms\.email\.to"),
    ):
        sink(route(port)).send(a_notice())
    room.refused = TO
    with (
        mail_server(room) as port,
        pytest.raises(NotSentError, match=r"takes none of alarms\.email\.to"),
    ):
        sink(route(port)).send(a_notice())


def test_a_server_that_takes_no_mail_is_told() -> None:
    """What it says first counts: a 554 is no greeting."""
    with (
        speaking(b"554 go away\r\n") as port,
        pytest.raises(NotSentError, match=r"refuses it \(code 554\)"),
    ):
        sink(route(port)).send(a_notice())


@given(
    branch=st.text(max_size=90).filter(lambda text: text.isprintable()),
    why=st.text(max_size=400),
    kind=st.sampled_from(list(KINDS)),
)
def test_nothing_of_a_notice_becomes_a_header(branch: str, why: str, kind: str) -> None:
    """Whatever the words are, the message has the same headers and one plain part."""
    notice = replace(a_notice(kind, why), branch=branch)
    message = written(notice, route(25), "da")
    read = bytes(message)

    head, _, _ = read.partition(b"\r\n\r\n")
    names = [line.partition(b":")[0] for line in head.split(b"\r\n") if not line[:1].isspace()]
    assert names == [
        b"Subject",
        b"From",
        b"To",
        b"Date",
        b"Message-ID",
        b"Auto-Submitted",
        b"Content-Type",
        b"Content-Transfer-Encoding",
        b"MIME-Version",
    ]
    assert read.isascii()


@pytest.mark.parametrize("broken", ["a\r\nBcc: x@y.example", "a\nb"])
def test_a_line_break_that_slips_through_sends_nothing(broken: str, room: Mailroom) -> None:
    """Where a break came as far as the subject, the message is not written at all."""
    notice: Notice = a_notice(branch=broken)
    with mail_server(room) as port, pytest.raises(NotSentError, match="can't be written"):
        sink(route(port)).send(notice)

    assert room.messages == []


# By webhook: signed, believed, never redirected.

SECRET = "a-shared-Secret~1"


def hook(url: str, authority: Path | None = None, **limits: float) -> WebhookSink:
    """Make a sink that believes one authority."""
    context = ssl.create_default_context(cafile=authority)
    return WebhookSink(url, Masked(SECRET), context, **limits)


def test_the_document_says_all_and_is_signed() -> None:
    """Whoever has the secret can tell that it is ours and whole; a second try has the same id."""
    script = Script(status=204, body=b"")
    notice = a_notice("door_held_cleared", "closed again", times=2)
    with serving(script) as port:
        way = hook(f"http://127.0.0.1:{port}/doorctl")
        way.send(notice)
        way.send(notice)

    (first, second) = script.requests
    method, path, body, headers = first
    assert (method, path, body) == ("POST", "/doorctl", second[2])
    assert headers["Content-Type"] == "application/json"
    wanted = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    assert headers["X-Doorctl-Signature"] == f"sha256={wanted}"
    assert json.loads(body) == {
        "format": "doorctl-alarm/1",
        "id": notice.id,
        "branch": BRANCH,
        "kind": "door_held_cleared",
        "urgency": "note",
        "at": "2026-03-02T19:04:05+01:00",
        "clock": "trusted",
        "times": 2,
        "clears": "door_held",
        "why": "closed again",
        "means": {"da": "Døren er lukket igen.", "en": "The door is closed again."},
        "do": {"da": "Der skal ikke gøres noget.", "en": "Do nothing."},
    }


@pytest.mark.parametrize("status", [301, 307, 400, 401, 404, 429, 500, 503])
def test_anything_but_success_is_not_sent(status: int) -> None:
    """A redirect is not followed: an alarm goes where the configuration says, or nowhere."""
    script = Script(status=status, headers={"Location": "/elsewhere"})
    with serving(script) as port, pytest.raises(NotSentError, match=f"HTTP status {status}"):
        hook(f"http://127.0.0.1:{port}/").send(a_notice())

    assert [path for _, path, _, _ in script.requests] == ["/"]


def test_the_secret_can_not_be_printed() -> None:
    """It stands in no message and in no representation."""
    assert SECRET not in repr(vars(hook("http://127.0.0.1:9")))


# The hourly question to a dead-man's switch.


class Beating:
    """A heartbeat whose switch answers to order, and a door that decides or not."""

    def __init__(self, port: int, script: Script) -> None:
        self.script, self.decides = script, True
        self.clock, self.log = FakeClock(), FakeEventLog()
        self.switch = DeadMansSwitch(f"http://127.0.0.1:{port}/0f3a", ssl.create_default_context())
        self._beating = Heartbeat(self._well, self.switch.beat, self.clock, self.log)

    def _well(self) -> None:
        if not self.decides:
            raise NotAnsweringError("the door")

    def after(self, seconds: float) -> int:
        """Turn as often as the thread does for so long; return how often the switch was asked."""
        for _ in range(round(seconds / BEAT_TURN_S)):
            self.clock.advance(BEAT_TURN_S)
            assert self._beating.turn()
        return len(self.script.requests)


@pytest.fixture
def beating() -> Iterator[Beating]:
    """Give one whose web process has just begun."""
    script = Script()
    with serving(script) as port:
        yield Beating(port, script)


def test_it_is_asked_each_hour_with_nothing_in_it(beating: Beating) -> None:
    """Not at the start: a web process that dies at once, again and again, must not look well."""
    assert beating.after(BEAT_AFTER_S - BEAT_TURN_S) == 0
    assert beating.after(BEAT_TURN_S) == 1
    assert beating.after(BEAT_EVERY_S - BEAT_TURN_S) == 1
    assert beating.after(BEAT_TURN_S) == 2

    assert {(method, path, body) for method, path, body, _ in beating.script.requests} == {
        ("GET", "/0f3a", b"")
    }


def test_a_door_that_does_not_decide_is_not_called_well(beating: Beating) -> None:
    """Until it does again; then at once, for somebody is on the way."""
    beating.decides = False
    assert beating.after(2 * BEAT_EVERY_S) == 0
    beating.decides = True

    assert beating.after(BEAT_TURN_S) == 1
    assert beating.log.lines == []


def test_a_switch_that_fails_is_told_once_and_asked_again(beating: Beating) -> None:
    """Each minute; the alarm does not quote the address, which is a secret."""
    beating.script.status = 500
    assert beating.after(BEAT_AFTER_S) == 1
    assert beating.after(3 * BEAT_TURN_S) == 4
    beating.script.status = 200
    assert beating.after(BEAT_EVERY_S) == 5

    line, end = beating.log.lines
    assert end["kind"] == "alarm_not_sent_cleared"
    assert line["kind"] == "alarm_not_sent"
    assert line["why"] == "the heartbeat answers with HTTP status 500"
