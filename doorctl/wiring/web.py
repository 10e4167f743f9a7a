"""Builds and runs the web process."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, closing, suppress
from functools import partial
from queue import SimpleQueue
from threading import Thread

import doorctl
from doorctl.access.throttle import TOLD_FROM
from doorctl.config import Config
from doorctl.core.alarms import RaisedAlarm
from doorctl.core.errors import KeyFileError, NotAnsweringError, StoreError
from doorctl.core.ports import AlarmOnce, Clock, EventLog, Seal
from doorctl.extras.extra import JobParts, PushParts, used
from doorctl.lookup.app import App
from doorctl.lookup.config_changes import read_again, tell_changes, tell_taken
from doorctl.lookup.configured import WEBS_CONFIG, system_clock
from doorctl.lookup.health import UNREADABLE
from doorctl.lookup.numbers import DoorsNumbers
from doorctl.lookup.witness import believes, tell_time
from doorctl.notices.sending import Notifiers
from doorctl.ops.logs import JsonLog
from doorctl.ops.memory import return_large_blocks, share_one_heap, spare_the_collector
from doorctl.ops.supervisor import SystemdSupervisor
from doorctl.ops.threads import regular
from doorctl.privacy.patrons_round import PatronsRound
from doorctl.rpc.door import TRUST_WEBS_CLOCK
from doorctl.rpc.numbers import SEAL
from doorctl.rpc.question import Nothing
from doorctl.rpc.server import ControlServer, answer_until_closed
from doorctl.store.damage.mending import mended
from doorctl.store.door_log import VisitHistory
from doorctl.store.keys import read_key
from doorctl.store.patrons import PatronCache
from doorctl.store.patrons_writer import open_or_renew_patrons
from doorctl.store.push_journal import PushJournal
from doorctl.store.records import AuditRecords
from doorctl.store.sealer import key_id, seal_on_record
from doorctl.store.signing_keys import read_public_keys
from doorctl.store.tombstones import StoredErasures
from doorctl.sync.exchange import MOST_PATRONS
from doorctl.sync.guard import guard
from doorctl.sync.receive import Terms
from doorctl.web.alarms import TABLE, WebsAlarms
from doorctl.web.application import application
from doorctl.web.branch_thread import BranchThread, WebsAudit
from doorctl.web.inspection import Inspection
from doorctl.web.listener import Listener, listen
from doorctl.web.pushes import Pushes
from doorctl.web.reception import Reception
from doorctl.web.serving import Server
from doorctl.web.tls import authority_of, refuse_unusable
from doorctl.web.watching import LOOK_S, CertificateWatch
from doorctl.wiring.pages import Pages, encrypted, pages
from doorctl.wiring.web_answers import answers_of_library, webs_answers

PAUSE_S = 600.0


def expiry(
    reception: Reception, worker: ThreadPoolExecutor, log: EventLog
) -> AbstractContextManager[None]:
    """Forget a register that nobody confirms, on a thread of its own until the end of the block.

    `worker` is the thread that the cache's writer belongs to.
    """
    # Belongs to the thread of the round, which opens it.
    cache = PatronCache(reception.writer.path, reception.terms.seal)
    going = PatronsRound(
        stamp=cache.stamp,
        expire=lambda before: worker.submit(reception.writer.expire, before).result(),
        forget=lambda now: worker.submit(reception.writer.forget, now).result(),
        clock=reception.clock,
        log=log,
    )
    return regular("patrons", going.turn, PAUSE_S, log).going(cache.close)


JOURNAL = "pushes-to-note.json"

DOOR_LIMIT_S = 2.0
"""Longest wait at the start for the door to say what it seals cards with."""


def open_web(config: Config, environment: Mapping[str, str], stdout: int) -> int:
    """Run the web process until SIGTERM or SIGINT, and return the exit code 0.

    A commit under way is finished first. Where SIGHUP brings another configuration, all but the
    process and its listening socket is built anew: a client that connects meanwhile waits.
    `environment` is the process's; log lines go to the file descriptor `stdout`. Raises
    DoorctlError: the process can't start.
    """
    share_one_heap()
    return_large_blocks()
    with ExitStack() as stack:
        journal = stack.enter_context(closing(JsonLog(stdout)))
        tell_changes(config, config.storage.directory / WEBS_CONFIG, journal)
        process = _Process(config, environment, journal, stack)
        # The one thing that a signal's handler may do at any moment is to put.
        hung_up: SimpleQueue[int] = SimpleQueue()
        signal.signal(signal.SIGHUP, lambda number, _frame: hung_up.put(number))
        Thread(target=process.heed, args=(hung_up,), name="reload", daemon=True).start()
        while process.begins():
            with ExitStack() as turn:
                _serve(process, journal, turn)
        process.supervisor.stopping()
    return 0


class _Process:
    """The parts of the process that outlive a change of the configuration."""

    def __init__(
        self, config: Config, environment: Mapping[str, str], journal: EventLog, stack: ExitStack
    ) -> None:
        self._environment = environment
        self._journal = journal
        self._stack = stack
        self.config = config
        self.taken: str | None = None
        self.supervisor = SystemdSupervisor(environment)
        self.notifiers: Notifiers = {}
        self._new: SimpleQueue[tuple[Config, str | None]] = SimpleQueue()
        self._new.put((config, None))
        self._server: Server | None = None
        self._listener: Listener | None = None
        self._stopping = False

    def begins(self) -> bool:
        """Take the next configuration; tell whether there is one and no stop was asked for."""
        if self._stopping or self._new.empty():
            return False
        self.config, self.taken = self._new.get()
        return True

    def heed(self, hung_up: SimpleQueue[int]) -> None:
        """Read the configuration again at each SIGHUP; on a thread of its own."""
        # What runs once all that was put is taken: the main thread may still be on its way there.
        newest = self.config
        while hung_up.get():
            try:
                read = read_again(newest, self._environment, self._journal)
                if read is not None and read[1]:
                    # What another turn can't begin without may have changed since the start.
                    read_public_keys(read[0].web.push.public_key_files)
                    refuse_unusable(read[0].web.tls)
            except KeyFileError as err:
                self._journal.emit("config", state="refused", why=f"nothing was changed: {err}")
                continue
            except Exception as err:  # noqa: BLE001 - it goes on as it was, and hears the next one
                why = f"reload: a fault of doorctl's own ({type(err).__name__})"
                self._journal.emit("alarm", kind="rounds_failing", why=why)
                continue
            if read is None:
                continue
            newest, taken = read
            if taken:
                self._new.put(read)
                self._stop_serving()
            else:
                tell_taken("", self._journal)

    def run(self, server: Server) -> None:
        """Serve until a signal ends it, or until a new configuration has come."""
        web = self.config.web
        if self._listener is None:
            self._listener = self._stack.enter_context(closing(listen(web.host, web.port)))
        self._server = server
        # uvicorn takes over both and raises them again at its end, to be ended by them.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        if self._stopping or not self._new.empty():
            server.stop()
        # The server closes the socket that it is given.
        server.run([Listener(os.dup(self._listener.fileno()))])

    def _stop(self, _number: int, _frame: object) -> None:
        self._stopping = True
        self._stop_serving()

    def _stop_serving(self) -> None:
        if self._server is not None:
            self._server.stop()


def _serve(process: _Process, journal: EventLog, stack: ExitStack) -> None:
    config = process.config
    clock = system_clock(config, wary=True)
    alarms = WebsAlarms(config, journal, clock, stack, process.notifiers)
    log = alarms.log
    # One thread, for the cache's one writing connection belongs to the thread that opened it.
    worker = stack.enter_context(ThreadPoolExecutor(1, "store"))
    stores = ExitStack()
    stack.callback(worker.submit, stores.close)
    _mend_branch(config, clock, log)
    reception = worker.submit(partial(_reception, config, clock, log, stores)).result()
    app = App(config, clock, DoorsNumbers(config.control.socket))
    branch = _branch(app, log, stack)
    standing = alarms.kept_in(branch, stack)
    answers = {
        **branch.answers(),
        **webs_answers(branch, worker, reception.writer),
        **alarms.answers,
        **TRUST_WEBS_CLOCK.answered(lambda _nothing: believes(clock)),
        **answers_of_library(config, clock, log, worker=worker, writer=reception.writer),
    }
    opened = partial(ControlServer, config.web.socket, answers, "web")
    answer_until_closed(opened, log, stack)
    start_jobs(JobParts(config, clock, log, branch.write, stack))
    stack.enter_context(expiry(reception, worker, log))
    share = partial(_share, config, branch)
    told = partial(tell_time, config)
    inspection = Inspection(reception.writer, reception.lookup, clock, log)
    alarms.door_told = partial(_inspect_after, inspection)
    pushes = Pushes(reception, worker, log, WebsAudit(branch), share, inspection, tell_time=told)
    pushes.noting.catch_up()
    shown = pages(app, log, branch, standing, stack)
    # Over another way a sender has no connection of its own, to show a certificate on.
    senders = application(
        pushes.routes(), missing=shown.frame.missing, encrypted=False, senders_certified=False
    )
    ways = _ways_in(PushParts(app, standing, log, senders, stack))
    server = _server(process, pushes, shown, log, ways)
    if server.config.ssl is not None:
        watch = CertificateWatch(config.web.tls, server.config.ssl, clock, log)
        stack.enter_context(regular("certificate", watch.turn, LOOK_S, log).going(lambda: None))
    process.run(server)
    # Of a push whose commit was under way.
    pushes.noting.catch_up()


def _inspect_after(inspection: Inspection, heard: RaisedAlarm) -> None:
    if heard.kind == UNREADABLE:
        inspection.wanted = True


def _ways_in(parts: PushParts) -> list[Callable[[asyncio.AbstractEventLoop], None]]:
    """Return what begins to take pushes by the ways of extras."""
    extras = used(parts.app.config)
    ways = (extra.pushes(parts) for extra in extras if extra.pushes is not None)
    return [way for way in ways if way is not None]


def _server(
    process: _Process,
    pushes: Pushes,
    shown: Pages,
    log: EventLog,
    ways: Iterable[Callable[[asyncio.AbstractEventLoop], None]],
) -> Server:
    config = process.config

    def warmed_up() -> None:
        shown.warm_up()
        spare_the_collector()

    def ready() -> None:
        if process.taken is None:
            log.emit("ready", version=doorctl.__version__, pid=os.getpid())
        else:
            tell_taken(process.taken, log)
        process.supervisor.ready()
        for begin in ways:
            begin(asyncio.get_running_loop())
        # Half of a start's work, and a push or a panel needs little of it.
        Thread(target=warmed_up, name="warming-up", daemon=True).start()

    return Server(
        application(
            (*pushes.routes(), *shown.routes),
            missing=shown.frame.missing,
            encrypted=encrypted(config),
            senders_certified=authority_of(config.web.tls) is not None,
        ),
        tls=config.web.tls,
        head_s=config.web.push.chunk_timeout_s,
        when_ready=ready,
        when_stopping=shown.stop,
        alive=process.supervisor.alive,
    )


def start_jobs(parts: JobParts) -> None:
    """Have the jobs of extras run on threads that end with the parts' stack."""
    for extra in used(parts.config):
        if extra.jobs is not None:
            extra.jobs(parts)


def _mend_branch(config: Config, clock: Clock, log: EventLog) -> None:
    path = config.storage.branch_db
    # Who can't open it says why.
    with suppress(StoreError):
        if aside := mended(path, clock.moment().local):
            why = f"{path.name} was damaged and is mended; the damaged one is kept as {aside.name}"
            log.emit("alarm", kind="store_damaged", why=why)


def _branch(app: App, log: EventLog, stack: ExitStack) -> BranchThread:
    branch = BranchThread(app)
    stack.callback(branch.close)
    try:
        branch.open()
    except StoreError as err:
        # Pushes come in all the same; each change tries to open it again, and says if it can't. Its
        # end is that an alarm, such as this one, is kept.
        AlarmOnce(log, "branch_failing", TABLE).tell(str(err))
    return branch


def _share(config: Config, branch: BranchThread, elsewhere: dict[str, int]) -> dict[str, int]:
    branch.run(lambda opened, moment: opened.writer.keep_wrong_pins(elsewhere, moment))
    with closing(VisitHistory(config.storage.visits_db)) as visits:
        return visits.many_wrong_pins(TOLD_FROM, MOST_PATRONS)


def _reception(config: Config, clock: Clock, log: EventLog, stores: ExitStack) -> Reception:
    push = config.web.push
    keys = tuple(read_public_keys(push.public_key_files))
    path = config.storage.patrons_db
    seal = _own_seal(config)
    erasures = stores.enter_context(closing(StoredErasures(config.storage.branch_db)))
    now = clock.moment().local
    writer, damage = open_or_renew_patrons(path, now, seal, erasures, config.policy)
    stores.callback(writer.close)
    if damage is not None:
        log.emit("alarm", kind="store_damaged", why=damage)
    return Reception(
        Terms(
            branch=config.branch.id,
            public_keys=keys,
            limits=push,
            seal=seal,
            guard=guard(push.max_removed_percent, push.removed_floor),
            minimum_age=config.policy.minimum_age,
        ),
        writer=writer,
        lookup=stores.enter_context(closing(PatronCache(path, seal))),
        clock=clock,
        directory=config.storage.directory,
        journal=PushJournal(config.storage.directory / JOURNAL),
        floor=_floor(config),
    )


def _floor(config: Config) -> int:
    try:
        with closing(AuditRecords(config.storage.branch_db)) as audit:
            return audit.last_push()
    except StoreError:
        # There is an alarm for that; pushes come in all the same.
        return 0


def _own_seal(config: Config) -> Seal:
    """Return what the door seals cards with; on a branch this process can't read the key itself."""
    try:
        name = key_id(read_key(config.secrets.installation_key_file))
    except KeyFileError as unreadable:
        known = _key_in_use(config)
        if known is None:
            raise KeyFileError(
                f"{unreadable}; without it the door has to be running, or patrons.db to be there: "
                "start doorctl-door, or run `doorctl init`"
            ) from None
        name = known
    return Seal(name, config.seal.memory_kib, config.seal.iterations)


def _key_in_use(config: Config) -> str | None:
    """Return which key the door has, or, while it is not running, the cache; None where neither."""
    with suppress(NotAnsweringError, StoreError):
        return SEAL.ask(config.control.socket, Nothing(), timeout_s=DOOR_LIMIT_S).key_id
    with suppress(StoreError):
        seal = seal_on_record(config.storage.patrons_db)
        return None if seal is None else seal.key_id
    return None
