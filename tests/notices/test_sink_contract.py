"""What every way out keeps to: the fake, a mail server and a webhook."""

from __future__ import annotations

import ssl
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from doorctl.config.tables import AlarmEmail
from doorctl.core.masked import Masked
from doorctl.core.ports import AlarmSink, NotSentError
from doorctl.notices.ways import MailSink, WebhookSink
from tests.fakes.alarm_sink import FakeSink
from tests.notices.mail_server import Mailroom, mail_server
from tests.notices.samples import a_notice
from tests.sources.branch_server import Script, serving


class Way(ABC):
    """A sink, and the other end of it."""

    sink: AlarmSink

    @abstractmethod
    def refuse(self) -> None:
        """Take nothing from now on."""

    @abstractmethod
    def take(self) -> None:
        """Take everything from now on."""

    @abstractmethod
    def taken(self) -> list[str]:
        """Return what of each notice taken tells it from others."""


class FakeWay(Way):
    """The fake."""

    def __init__(self, _stack: ExitStack) -> None:
        self.sink = self._fake = FakeSink()

    def refuse(self) -> None:
        """As `Way`."""
        self._fake.why = "no"

    def take(self) -> None:
        """As `Way`."""
        self._fake.why = None

    def taken(self) -> list[str]:
        """As `Way`."""
        return [notice.id for notice in self._fake.taken]


class MailWay(Way):
    """A mail server."""

    def __init__(self, stack: ExitStack) -> None:
        self._room = Mailroom()
        port = stack.enter_context(mail_server(self._room))
        email = AlarmEmail(
            host="127.0.0.1",
            port=port,
            security="none",
            sender="doorctl@r.example",
            to=("vagt@r.example",),
        )
        self.sink = MailSink(email, ssl.create_default_context())

    def refuse(self) -> None:
        """As `Way`."""
        self._room.answer = "451 later"

    def take(self) -> None:
        """As `Way`."""
        self._room.answer = "250 OK"

    def taken(self) -> list[str]:
        """As `Way`."""
        return [
            str(message["Message-ID"]).strip("<>").partition("@")[0]
            for message in self._room.messages
        ]


class HookWay(Way):
    """A webhook."""

    def __init__(self, stack: ExitStack) -> None:
        self._script = Script()
        port = stack.enter_context(serving(self._script))
        sink = WebhookSink(f"http://127.0.0.1:{port}", Masked("s"), ssl.create_default_context())
        stack.callback(sink.close)
        self.sink = sink

    def refuse(self) -> None:
        """As `Way`."""
        self._script.status = 503

    def take(self) -> None:
        """As `Way`."""
        self._script.status = 200
        self._script.requests.clear()

    def taken(self) -> list[str]:
        """As `Way`."""
        bodies = [body.decode() for _, _, body, _ in self._script.requests]
        return [body.partition('"id":"')[2].partition('"')[0] for body in bodies]


@pytest.fixture(params=[FakeWay, MailWay, HookWay])
def way(request: pytest.FixtureRequest) -> Iterator[Way]:
    """Return each way in turn."""
    with ExitStack() as stack:
        yield request.param(stack)


def test_what_is_sent_has_been_taken(way: Way) -> None:
    """When `send` returns, the other end has it; notices arrive in order."""
    notices = [a_notice("door_held"), a_notice("door_held_cleared"), a_notice("duress")]
    for notice in notices:
        way.sink.send(notice)

    assert way.taken() == [notice.id for notice in notices]


def test_what_is_refused_can_be_sent_later(way: Way) -> None:
    """A refusal is `NotSentError`, costs nothing, and the same notice goes later by its id."""
    way.refuse()
    with pytest.raises(NotSentError):
        way.sink.send(a_notice())
    way.take()
    way.sink.send(a_notice())

    assert way.taken() == [a_notice().id]
