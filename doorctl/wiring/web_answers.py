"""Builds what the web process answers: a person's rights, and the door's questions."""

from __future__ import annotations

from concurrent.futures import Executor
from functools import partial
from typing import Any

from doorctl.access.patron import SealedRow
from doorctl.config import Config
from doorctl.core.errors import KeyFileError
from doorctl.core.ports import Clock, EventLog
from doorctl.extras.extra import used
from doorctl.privacy.erasure import PartErased
from doorctl.rpc.library import library_answers
from doorctl.rpc.question import Answers, Done
from doorctl.rpc.retention import ERASE_PATRON, ERASE_RIGHTS, SubjectRequest
from doorctl.services.deeds import WRITE_LIMIT_S
from doorctl.store.erasure import erase_patron, erase_rights
from doorctl.store.patrons_writer import PatronCacheWriter
from doorctl.web.branch_thread import BranchThread, result_of


def webs_answers(branch: BranchThread, worker: Executor, register: PatronCacheWriter) -> Answers:
    """Return the web process's answers about a person's rights.

    `register` belongs to the one thread of `worker`.
    """

    def rights(request: SubjectRequest) -> Done[PartErased]:
        about, by, why = request.subject, request.by, request.why
        return Done(
            branch.run(
                lambda opened, moment: erase_rights(
                    opened.writer, about, request.epoch, by, moment, why=why
                )
            )
        )

    def patron(request: SubjectRequest) -> Done[PartErased]:
        job = partial(erase_patron, register, request.subject)
        return Done(worker.submit(job).result())

    return {**ERASE_RIGHTS.answered(rights), **ERASE_PATRON.answered(patron)}


def answers_of_library(
    config: Config,
    clock: Clock,
    log: EventLog,
    *,
    worker: Executor,
    writer: PatronCacheWriter,
    limit_s: float = WRITE_LIMIT_S,
) -> Answers:
    """Return web's answers to the door about the library system.

    None where there is none; nor where its password or certificate can't be read: that is alarmed,
    and the branch goes on without it until web is started again. `writer` belongs to the one thread
    of `worker`, for which it waits `limit_s` seconds at most.
    """
    client = next((extra.library for extra in used(config) if extra.library), None)
    if client is None:
        return {}
    from doorctl.sources.library_limiter import LibraryLimiter

    try:
        system = client(config.lms, clock)
    except KeyFileError as err:
        log.emit("alarm", kind="library_silent", why=str(err))
        return {}
    limiter = LibraryLimiter(system, clock, log, pause_s=config.lms.pause_min * 60)

    def keep(row: SealedRow, **days: Any) -> None:
        result_of(worker.submit(writer.keep, row, **days), limit_s)

    return library_answers(limiter.ask, keep)
