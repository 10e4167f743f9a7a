"""Builds web's end of the way to the library system: it asks, and keeps the answers."""

from __future__ import annotations

from concurrent.futures import Executor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from doorctl.access.patron import SealedRow
from doorctl.access.ports import LibrarySystem
from doorctl.config import Config
from doorctl.config.tables import Lms, read_address
from doorctl.core.asking import read_password, trusting
from doorctl.core.errors import ConfigError, KeyFileError, Problem
from doorctl.core.masked import Masked
from doorctl.core.ports import Clock, EventLog
from doorctl.rpc.control import Answers
from doorctl.rpc.door import LibraryLimiter, library_answers
from doorctl.services.branch import WRITE_LIMIT_S, result_of
from doorctl.sources.library import Dialect, FbsLibrary, Sip2Library
from doorctl.sync.receive import PatronWriter


def answers_of_library(
    config: Config,
    clock: Clock,
    log: EventLog,
    stack: ExitStack,
    *,
    worker: Executor,
    writer: PatronWriter,
    limit_s: float = WRITE_LIMIT_S,
) -> Answers:
    """Return web's answers to the door about the library system; none where it is off.

    None either where its password or certificate can't be read: that is alarmed as
    ``library_silent``, and the branch goes on without it until web is started again. `writer`
    belongs to the one thread of `worker`, for which it waits `limit_s` seconds at most. Raises
    ConfigError: its address lacks the port.
    """
    if not config.lms.wanted:
        return {}
    try:
        system = _library_system(config.lms, clock, stack)
    except KeyFileError as err:
        log.emit("alarm", kind="library_silent", why=str(err))
        return {}
    limiter = LibraryLimiter(system, clock, log, pause_s=config.lms.pause_min * 60)

    def keep(row: SealedRow, **days: Any) -> None:
        result_of(worker.submit(writer.keep, row, **days), limit_s)

    return library_answers(limiter.ask, keep)


def _library_system(lms: Lms, clock: Clock, stack: ExitStack) -> LibrarySystem:
    if lms.kind == "fbs":
        fbs = FbsLibrary(
            url=lms.url,
            agency=lms.agency,
            user=lms.user,
            password=_password(lms.password_file) if lms.user else Masked(""),
            context=trusting(lms.ca_file),
            timeout_s=lms.timeout_s,
        )
        stack.callback(fbs.close)
        return fbs
    at = read_address(lms.url)
    if at is None or at.port is None:
        raise ConfigError("configuration", [Problem("lms.url", "give it with its port")])
    sip2 = Sip2Library(
        host=at.host,
        port=at.port,
        context=trusting(lms.ca_file) if at.encrypted else None,
        institution=lms.agency,
        clock=clock,
        user=lms.user,
        password=_password(lms.password_file) if lms.user else Masked(""),
        terminal_password=_password(lms.terminal_password_file),
        dialect=Dialect(frozenset(lms.resident_classes), frozenset(lms.deny_flags)),
        checksum=lms.checksum,
        timeout_s=lms.timeout_s,
    )
    stack.callback(sip2.close)
    return sip2


def _password(path: Path) -> Masked[str]:
    return Masked("") if path == Path() else read_password(path)
