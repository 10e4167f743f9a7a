"""A hub and what branches say, over a real server that has streams or none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from doorctl.extras.fleet import WebHub, WebNats, keeping
from doorctl.extras.fleet.bodies import reports_stream
from doorctl.extras.fleet.connection import Link, SharedConnection
from doorctl.extras.fleet.hub import BranchHeard, Doubt, Hub
from doorctl.extras.fleet.keeping import KeptConnection, Use
from doorctl.extras.fleet.messages import up_of
from doorctl.store.signing_keys import create_signing_key, read_signing_key
from tests.extras.fleet.nats_server import PLAIN, STREAMS, NatsServer, serving_nats
from tests.extras.fleet.test_reports import STATUS, said
from tests.fakes.clock import FakeClock
from tests.fakes.event_log import FakeEventLog
from tests.fakes.waiting import LIMIT_S, until


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses that a test can wait for."""
    monkeypatch.setattr(keeping, "FIRST_PAUSE_S", 0.05)
    monkeypatch.setattr(keeping, "LONGEST_PAUSE_S", 0.2)


@pytest.fixture(params=[PLAIN, STREAMS])
def server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[NatsServer]:
    """A server, with streams and without."""
    with serving_nats(tmp_path, request.param.format(store=tmp_path / "store", port="{port}")) as s:
        yield s


@contextmanager
def kept(connection: KeptConnection) -> Iterator[None]:
    """Keep a connection until the end of the block, which begins once it stands."""
    ending: list[bool] = []

    def turns() -> None:
        while not ending:
            connection.turn()

    thread = Thread(target=turns)
    thread.start()
    try:
        until(lambda: connection.stands)
        yield
    finally:
        ending.append(True)
        connection.stop()
        thread.join(LIMIT_S)


async def _nothing(_client: Any) -> None:
    """Do nothing."""


def said_by_branch(server: NatsServer, log: FakeEventLog) -> KeptConnection:
    """Return a branch's connection, which says what a test does."""
    use = Use("web.nats", "oest", "nats_lost", "refused", _nothing, _nothing)
    return KeptConnection(WebNats(servers=(server.url,)), use, FakeClock(), log)


def hubs(server: NatsServer, directory: Path) -> Hub:
    """Return a hub that knows oest; its clock is that of the reports."""
    settings = WebHub(servers=(server.url,), keys_directory=directory / "branches")
    clock = FakeClock()
    return Hub(settings, clock, FakeEventLog())


def test_a_hub_hears_and_one_that_begins_anew_reads_what_was_said(
    tmp_path: Path, server: NatsServer
) -> None:
    """The last value lies at a server with streams; without, the branch says it again."""
    (tmp_path / "branches").mkdir()
    create_signing_key(tmp_path / "oest.key", tmp_path / "branches" / "oest.pub")
    key = read_signing_key(tmp_path / "oest.key")
    first, second = hubs(server, tmp_path), hubs(server, tmp_path)
    at = FakeClock().moment().known_time - timedelta(minutes=1)
    headers, body = said(at=at, key=key)
    forged, _ = said(at=at + timedelta(seconds=1))

    def heard(hub: Hub) -> BranchHeard:
        """Return what it knows of oest."""
        return hub.reports.branches()[0]

    connection = said_by_branch(server, FakeEventLog())
    making = SharedConnection(Link((server.url,), None))
    if server.has_streams:
        making.within(LIMIT_S, reports_stream().make)
    making.close()
    with kept(connection):
        with kept(first.connection):
            connection.say(up_of("oest", "status"), body, headers)
            until(lambda: heard(first).status is not None)
            assert heard(first).status == STATUS
            connection.say(up_of("oest", "night"), body, forged)
            until(lambda: heard(first).doubt is not None)
            assert heard(first).night is None
        with kept(second.connection):
            if not server.has_streams:
                connection.say(up_of("oest", "status"), body, headers)
            until(lambda: heard(second).status is not None)
    assert heard(second).status == STATUS


def test_a_branch_that_is_added_is_known_at_the_next_look(
    tmp_path: Path, server: NatsServer
) -> None:
    """So is another key in place of one; a look reads no file that was not written anew."""
    keys = tmp_path / "branches"
    keys.mkdir()
    hub = hubs(server, tmp_path)
    assert (hub.look(), hub.reports.branches()) == ("", ())

    create_signing_key(tmp_path / "oest.key", keys / "oest.pub")
    assert hub.look() == ""
    assert [each.branch for each in hub.reports.branches()] == ["oest"]

    (keys / "oest.pub").write_text("no key", encoding="utf-8")
    hub.look()
    assert hub.reports.branches()[0].doubt is Doubt.KEY


def test_a_hub_without_its_directory_says_so(tmp_path: Path, server: NatsServer) -> None:
    """It stays without a connection, and the page says which directory is not there."""
    hub = hubs(server, tmp_path)
    thread = Thread(target=hub.connection.turn)
    thread.start()
    until(lambda: hub.connection.why)
    hub.connection.stop()
    thread.join(LIMIT_S)

    assert "branches: No such file or directory" in hub.connection.why
