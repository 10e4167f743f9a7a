"""The whole way of an alarm: from the door's log over web's socket to a real mail server."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import CliRunner

from doorctl.cli.app import app
from doorctl.config import Config, load
from doorctl.core.errors import InputError
from doorctl.rpc.control import ControlServer
from doorctl.services.alarms import DoorsAlarms, WebsAlarms, send_now
from tests.fakes.clock import FakeClock
from tests.fakes.event_log import FakeEventLog
from tests.notices.mail_server import Mailroom, mail_server
from tests.sources.http_server import Script, serving

LONG_S = 20.0
SECRET = "a-shared-Secret~1"


@dataclass
class Postbox(Mailroom):
    """A mail room that tells of each message."""

    arrived: queue.SimpleQueue[str] = field(default_factory=queue.SimpleQueue)

    async def handle_DATA(self, *of_a_server: object) -> str:  # noqa: N802
        """Take a message and tell of it."""
        answer = await super().handle_DATA(*of_a_server)  # type: ignore[arg-type]
        if self.messages and answer.startswith("250"):
            self.arrived.put(str(self.messages[-1]["Subject"]))
        return answer


@dataclass
class House:
    """A branch's configuration with a mail server and a webhook on this machine."""

    path: Path
    room: Postbox
    hook: Script

    @property
    def config(self) -> Config:
        """The configuration as it stands."""
        return load(self.path)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Return a house whose alarms have two ways out."""
    room, hook = Postbox(), Script()
    (tmp_path / "hook.secret").write_text(SECRET)
    (tmp_path / "hook.secret").chmod(0o600)
    with mail_server(room) as port, serving(hook) as hook_port:
        path = tmp_path / "doorctl.toml"
        path.write_text(
            f"""
[branch]
name = "Langå"
id = "langaa"
[storage]
directory = "{tmp_path}"
[reader]
port = "/dev/ttyUSB0"
[alarms]
language = "en"
[alarms.email]
host = "127.0.0.1"
port = {port}
security = "none"
sender = "doorctl@r.example"
to = ["vagt@r.example"]
[alarms.webhook]
url = "http://127.0.0.1:{hook_port}/"
secret_file = "hook.secret"
"""
        )
        yield House(path, room, hook)


def test_an_alarm_of_the_door_leaves_the_house(house: House) -> None:
    """The door has no network: web hears of it and tells the duty list and the webhook."""
    doors_log, webs_log, clock = FakeEventLog(), FakeEventLog(), FakeClock()
    with ExitStack() as stack:
        alarms = WebsAlarms(house.config, webs_log, clock, stack, {})
        log = alarms.log
        server = ControlServer(house.config.web.socket, alarms.answers)
        server.start()
        stack.callback(server.stop)
        door = DoorsAlarms(house.config, doors_log, clock, stack).log
        door.emit("ready", pid=1)
        door.emit("alarm", kind="door_forced")

        arrived = house.room.arrived.get(timeout=LONG_S)
        log.emit("alarm", kind="push_guarded", why="it removes 40 %")
        second = house.room.arrived.get(timeout=LONG_S)

    assert arrived == "NOW: Langå: The door was opened and nobody had been let in."
    assert second.startswith("Today: Langå: A push would shut out too many patrons")
    assert [line["event"] for line in doors_log.lines] == ["ready", "alarm"]
    assert [line["kind"] for line in webs_log.lines] == ["push_guarded"]
    assert b"door_forced" in house.hook.requests[0][2]


def test_a_way_that_fails_is_told_by_the_other(house: House) -> None:
    """Where the webhook is down, the mail says so, and the log does, once."""
    house.hook.status = 503
    log = FakeEventLog()
    with ExitStack() as stack:
        WebsAlarms(house.config, log, FakeClock(), stack, {}).log.emit("alarm", kind="door_held")
        subjects = {house.room.arrived.get(timeout=LONG_S) for _ in range(2)}

    assert subjects == {
        "NOW: Langå: The door has stood open for too long.",
        "Today: Langå: An alarm could not be sent.",
    }
    assert [line["kind"] for line in log.lines] == ["door_held", "alarm_not_sent"]
    assert log.lines[1]["why"] == "webhook: the webhook answers with HTTP status 503"


def test_a_door_whose_web_is_silent_goes_on(house: House) -> None:
    """The line stands in the journal; that it went no further does too, once."""
    log = FakeEventLog()
    seen: queue.SimpleQueue[str] = queue.SimpleQueue()

    class Told(FakeEventLog):
        """A log that says what it was told."""

        def emit(self, event: str, **fields: str | float | bool | None) -> None:
            """Keep one line, and say its kind."""
            log.emit(event, **fields)
            seen.put(str(fields["kind"]))

    with ExitStack() as stack:
        door = DoorsAlarms(house.config, Told(), FakeClock(), stack).log
        for _ in range(200):
            door.emit("alarm", kind="door_forced")
        kinds = [seen.get(timeout=LONG_S) for _ in range(201)]

    assert sorted(kinds) == ["alarm_not_sent", *["door_forced"] * 200]


def test_where_no_way_is_configured_a_silent_web_is_not_told(house: House) -> None:
    """The alarm waits for the table alone, and a journal full of that would help nobody."""
    overrides = ["alarms.email.host=", "alarms.email.sender=", "alarms.email.to=[]"]
    overrides += ["alarms.webhook.url=", "alarms.webhook.secret_file="]
    config = load(house.path, overrides)
    log, clock = FakeEventLog(), FakeClock()
    with ExitStack() as stack:
        DoorsAlarms(config, log, clock, stack).log.emit("alarm", kind="stalled")
    assert [line["kind"] for line in log.lines] == ["stalled"]
    with pytest.raises(InputError, match="alarms go nowhere"):
        send_now(config, "test", "")


def test_a_secret_that_is_missing_is_told_at_the_start(house: House) -> None:
    """Web starts without that way, and the other one says so: nobody finds out at night."""
    secret = house.path.parent / "hook.secret"
    secret.unlink()
    log = FakeEventLog()
    with ExitStack() as stack:
        WebsAlarms(house.config, log, FakeClock(), stack, {})
        arrived = house.room.arrived.get(timeout=LONG_S)

    assert arrived == "Today: Langå: An alarm could not be sent."
    assert [(line["kind"], line["why"]) for line in log.lines] == [
        ("alarm_not_sent", f"webhook: {secret} can't be read: No such file or directory")
    ]


@pytest.mark.parametrize("leaf", ["email", "webhook"])
def test_an_authority_that_is_missing_costs_its_own_way_alone(house: House, leaf: str) -> None:
    """What can't be believed is not used; the rest of web never hears of it."""
    config = load(house.path, [f"alarms.{leaf}.ca_file=/nowhere/ca.pem"])
    log = FakeEventLog()
    with ExitStack() as stack:
        WebsAlarms(config, log, FakeClock(), stack, {})

    assert log.lines[0]["kind"] == "alarm_not_sent"
    assert "/nowhere/ca.pem holds no certificate authority" in str(log.lines[0]["why"])


def command(house: House, *words: str) -> tuple[int, str, BaseException | None]:
    """Run ``doorctl alarm send``."""
    result = CliRunner().invoke(app, ["alarm", "send", "--config", str(house.path), *words])
    return result.exit_code, result.output, result.exception


def test_the_technician_can_try_it(house: House) -> None:
    """One command shows whether mail and webhook arrive."""
    assert command(house) == (0, "test: sent\n", None)
    assert house.room.arrived.get(timeout=LONG_S) == "For information: Langå: This is a test."
    assert len(house.hook.requests) == 1


def test_systemd_can_send_what_web_can_not(house: House) -> None:
    """The unit that runs when web has failed names the kind; both ways are tried."""
    house.hook.status = 500
    code, _, error = command(house, "web_failed", "--why", "doorctl-web.service")

    assert code == 1
    assert str(error) == "webhook: the webhook answers with HTTP status 500"
    assert "The web process has failed" in house.room.arrived.get(timeout=LONG_S)


def test_a_kind_that_is_not_listed_is_refused(house: House) -> None:
    """A typing mistake is told with what there is."""
    code, _, error = command(house, "door_forcd")

    assert code == 1
    assert "there is no such alarm; there are alarm_not_sent" in str(error)
