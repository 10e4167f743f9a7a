"""Builds and runs the web process."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

import doorctl
from doorctl.bootstrap.rules import patrons_db, system_clock
from doorctl.config import Config
from doorctl.errors import KeyFileError, StoreError
from doorctl.ops.clock import SystemClock
from doorctl.ops.logs import JsonLog
from doorctl.ops.supervision import SystemdSupervisor
from doorctl.ports import EventLog
from doorctl.store.key_file import read_key
from doorctl.store.patrons import PatronCache
from doorctl.store.patrons_writer import open_or_create_patrons
from doorctl.store.quarantine import set_aside_if_damaged
from doorctl.store.seal_on_record import seal_on_record
from doorctl.store.sealing import Seal, key_id
from doorctl.store.signing_keys import read_public_keys
from doorctl.sync.guard import guard
from doorctl.sync.manifest import SealedWith
from doorctl.sync.staging import Limits
from doorctl.web.app import application
from doorctl.web.body import Patience
from doorctl.web.pushes import Pushes
from doorctl.web.reception import Reception, Terms
from doorctl.web.serving import Certificates, Server, listen


def open_web(config: Config, environment: Mapping[str, str], stdout: int) -> int:
    """Run the web process until SIGTERM or SIGINT; a commit under way is finished first.

    Args:
        config: the whole configuration.
        environment: the process's; systemd speaks through it.
        stdout: the file descriptor for log lines.

    Returns:
        The exit code, 0.

    Raises:
        DoorctlError: it can't start.
    """
    with ExitStack() as stack:
        log = stack.enter_context(closing(JsonLog(stdout)))
        supervisor = SystemdSupervisor(environment)
        # One thread, for the cache's one writing connection belongs to the thread that opened it.
        worker = stack.enter_context(ThreadPoolExecutor(1, "store"))
        stores = ExitStack()
        stack.callback(worker.submit, stores.close)
        reception = worker.submit(partial(_reception, config, log, stores)).result()
        push = config.web.push
        patience = Patience(push.max_bytes, push.chunk_timeout_s, push.total_timeout_s)

        def ready() -> None:
            log.emit("ready", version=doorctl.__version__, pid=os.getpid())
            supervisor.ready()

        server = Server(
            application(Pushes(reception, worker, log, patience)),
            _certificates(config),
            head_s=push.chunk_timeout_s,
            when_ready=ready,
            alive=supervisor.alive,
        )
        listener = stack.enter_context(closing(listen(config.web.host, config.web.port)))
        # uvicorn takes over both and raises them again at its end, to be ended by them.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: server.stop())
        server.run([listener])
        supervisor.stopping()
    return 0


def _reception(config: Config, log: EventLog, stores: ExitStack) -> Reception:
    push = config.web.push
    clock = system_clock(config)
    keys = tuple(read_public_keys(push.public_key_files))
    path = patrons_db(config)
    _set_aside(path, clock, log)
    seal = _own_seal(config)
    return Reception(
        Terms(
            branch=config.branch.id,
            public_keys=keys,
            limits=Limits(max_bytes=push.max_bytes, max_rows=push.max_rows),
            seal=SealedWith(seal.key_id, seal.memory_kib, seal.iterations),
            guard=guard(push.max_removed_percent, push.removed_floor),
        ),
        writer=stores.enter_context(closing(open_or_create_patrons(path, seal))),
        lookup=stores.enter_context(closing(PatronCache(path, seal))),
        clock=clock,
        directory=config.storage.directory,
    )


def _set_aside(path: Path, clock: SystemClock, log: EventLog) -> None:
    aside = set_aside_if_damaged(path, clock.moment().local)
    if aside is not None:
        why = f"{path.name} is damaged and was set aside as {aside.name}; push a snapshot"
        log.emit("alarm", kind="store_damaged", why=why)


def _own_seal(config: Config) -> Seal:
    """Return what the door seals cards with.

    On a branch this process can't read the installation key; which one it is stands in the cache.
    """
    try:
        name = key_id(read_key(config.secrets.installation_key_file))
    except KeyFileError as unreadable:
        name = _key_on_record(config, unreadable)
    return Seal(name, config.seal.memory_kib, config.seal.iterations)


def _key_on_record(config: Config, unreadable: KeyFileError) -> str:
    try:
        seal = seal_on_record(patrons_db(config))
    except StoreError:
        seal = None
    if seal is None:
        raise KeyFileError(
            f"{unreadable}; without it patrons.db has to be there: run `doorctl init`"
        ) from None
    return seal.key_id


def _certificates(config: Config) -> Certificates | None:
    tls = config.web.tls
    if not tls.wanted:
        return None
    authority = None if tls.client_ca_file == Path() else tls.client_ca_file
    return Certificates(tls.certificate_file, tls.key_file, authority)
