"""Branches behind a firewall, reached over a NATS server, and the page over many of them.

``[web.nats]``, ``[sync.nats]`` and ``[web.hub]``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from doorctl.config.rules import ACCOUNT, ITS_PATH, USELESS, Values, together
from doorctl.config.tables import (
    id_key,
    is_this_machine,
    key,
    list_key,
    read_address,
    shown,
    visible_key,
)
from doorctl.core.alarms import over, today
from doorctl.core.errors import Problem
from doorctl.extras.extra import CommandLine, Extra, PageParts, PushParts

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from contextlib import ExitStack

    from starlette.routing import BaseRoute

    from doorctl.config import Config
    from doorctl.config.tables import Target
    from doorctl.core.ports import EventLog
    from doorctl.extras.fleet.keeping import KeptConnection
    from doorctl.sync.branch import Branch
    from doorctl.web.addresses import Place

WEBS, SENDERS, HUBS = "web.nats", "sync.nats", "web.hub"
TLS_FILES = ("ca_file", "certificate_file", "key_file")

Server = Annotated[str, Meta(pattern=r"^(tls|nats)://[A-Za-z0-9.:_\[\]-]{1,253}\Z")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Nats:
    """The servers, and who this machine is to them."""

    servers: tuple[Server, ...] = list_key(
        "addresses that begin with tls://, or nats:// for this machine",
        8,
        ["tls://nats.example:4222"],
    )
    ca_file: Path = key(Path(), example="/etc/doorctl/nats-ca.pem")
    certificate_file: Path = key(Path(), example="/etc/doorctl/nats.pem")
    key_file: Path = key(Path(), example="/etc/doorctl/nats.key")
    user: str = visible_key("oest", most=64)
    password_file: Path = key(Path(), example="/etc/doorctl/nats.password")


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncNats(Nats):
    """The sender's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebNats(Nats):
    """A branch's, which signs its replies."""

    signing_key_file: Path = key(Path("/etc/doorctl/answers.key"))


@dataclass(frozen=True, slots=True, kw_only=True)
class WebHub(Nats):
    """That of pages over many branches, whose public keys lie in a directory, oest's as oest.pub.

    `id` is who this machine is to the servers, beside the branch that it may be too.
    """

    id: str = id_key("hub")
    keys_directory: Path = key(Path("/etc/doorctl/branches"))


def servers_fit(values: Values, table: str) -> Iterator[Problem]:
    """There is a server, and what goes to another machine is encrypted."""
    servers = values.get(f"{table}.servers")
    if servers is None:
        return
    where = f"{table}.servers"
    if not servers:
        yield Problem(where, 'missing; give addresses such as "tls://nats.example:4222"')
    for server in servers:
        address = read_address(server)
        if address is None or address.port == 0 or not address.host:
            yield Problem(where, f"found {shown(server)}, which no machine has; mend host and port")
        elif address.scheme == "nats" and not is_this_machine(address.host):
            what = f"found {shown(server)}, which carries patrons in the clear; give tls://"
            yield Problem(where, what)
    if servers and all(server.startswith("nats:") for server in servers):
        for leaf in TLS_FILES:
            if values.get(f"{table}.{leaf}", Path()) != Path():
                yield Problem(f"{table}.{leaf}", USELESS, beside=shown(servers[0]))


def branches(config: Config, stack: ExitStack) -> Callable[[Target, str], Branch]:
    """Return what makes a branch over NATS as its sender asks it, for one run.

    Both raise KeyFileError: a file can't be used.
    """
    from doorctl.extras.fleet.bodies import Bodies
    from doorctl.extras.fleet.branch import NatsBranch
    from doorctl.extras.fleet.connection import SharedConnection, link_of
    from doorctl.store.signing_keys import read_public_keys

    (nats,) = config.all_of(SyncNats)
    shared, bodies = SharedConnection(link_of(nats)), Bodies()
    stack.callback(shared.close)

    def branch(target: Target, question: str) -> Branch:
        (key_of_branch,) = read_public_keys([target.public_key_file])
        return NatsBranch(target.branch, shared, key_of_branch, bodies, question=question)

    return branch


def pushes(parts: PushParts) -> Callable[[AbstractEventLoop], None] | None:
    """Return what begins to take pushes from a server, on a thread of its own."""
    for nats in parts.app.config.all_of(WebNats):
        return partial(_listen, parts, nats)
    return None


def _listen(parts: PushParts, nats: WebNats, loop: AbstractEventLoop) -> None:
    from doorctl.extras.fleet.listening import Listener
    from doorctl.extras.fleet.reporting import LOOK_S, Reporter
    from doorctl.ops.threads import regular

    connection = Listener(parts, nats, loop).connection
    reporter = Reporter(parts.app, parts.alarms, nats.signing_key_file, connection)
    reports = regular("reports", reporter.turn, LOOK_S, parts.log)
    connection.when_connected = reports.wake
    parts.stack.enter_context(reports.going(lambda: None))
    _keep(connection, "nats", parts.log, parts.stack)


def _keep(connection: KeptConnection, name: str, log: EventLog, stack: ExitStack) -> None:
    from doorctl.ops.threads import regular

    stack.enter_context(regular(name, connection.turn, 0, log).going(lambda: None))
    # It ends what a turn waits for; then the thread itself ends.
    stack.callback(connection.stop)


def pages(parts: PageParts) -> Iterable[BaseRoute]:
    """Return the page over many branches, and begin to hear them."""
    for nats in parts.app.config.all_of(WebHub):
        from doorctl.extras.fleet.hub import Hub
        from doorctl.extras.fleet.hub_pages import hub_pages

        hub = Hub(nats, parts.app.clock, parts.frame.log)
        _keep(hub.connection, "hub", parts.frame.log, parts.stack)
        yield from hub_pages(parts.frame, hub)


def places(config: Config) -> Iterable[Place]:
    """Return the page's line in the menu."""
    if config.all_of(WebHub):
        from doorctl.extras.fleet.hub_pages import PLACE

        yield PLACE


ALARMS = {
    "nats_lost": today(
        "The branch has no connection to the NATS server that brings it patrons.",
        "See whether the server runs and the network lets this branch out to it.",
    ),
    "nats_back": over("nats_lost", "The branch is connected to the NATS server again."),
    "hub_lost": today(
        "The page of all branches has no connection to the NATS server and hears none of them.",
        "See whether the server runs and the network lets this machine out to it.",
    ),
    "hub_back": over("hub_lost", "The page of all branches hears the NATS server again."),
}

COMMANDS = {
    "nats-config": CommandLine(
        "doorctl.extras.fleet.server:nats_config",
        "Write a nats-server's configuration for all branches.",
    )
}

EXTRA = Extra(
    sections={WEBS: WebNats, SENDERS: SyncNats, HUBS: WebHub},
    rules=tuple(
        rule
        for table in (WEBS, SENDERS, HUBS)
        for rule in (
            partial(servers_fit, table=table),
            partial(together, table=table, leaves=TLS_FILES[1:], text=ITS_PATH),
            partial(together, table=table, leaves=ACCOUNT),
        )
    ),
    alarms=ALARMS,
    modules=("nats",),
    branches=branches,
    pushes=pushes,
    pages=pages,
    places=places,
    commands=COMMANDS,
)
