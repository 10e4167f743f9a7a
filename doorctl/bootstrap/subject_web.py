"""What the web process does for a person's rights: it owns the register and ``branch.db``."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial

from doorctl.bootstrap.branch import BranchDesk
from doorctl.moments import Moment
from doorctl.ports import PatronWriter
from doorctl.privacy.subject import Subject
from doorctl.privacy.subject_erasure import PartErased
from doorctl.store import subject_rights
from doorctl.store.branch_writer import BranchRecordsWriter
from doorctl.store.patrons_writer import PatronCacheWriter
from doorctl.store.subject_erasing import erase_patron
from doorctl.transports.branch_requests import OpenBranch
from doorctl.transports.control import Answers
from doorctl.transports.subject import (
    ERASE_PATRON,
    ERASE_RIGHTS,
    RESTRICT,
    UNRESTRICT,
    Asked,
    answering,
)

Change = Callable[[BranchRecordsWriter, Subject, str, Moment, str], None]


def webs_answers(desk: BranchDesk, worker: Executor, register: PatronWriter) -> Answers:
    """Return what the web process answers.

    Args:
        desk: owns ``branch.db``.
        worker: the one thread that `register` belongs to.
        register: the patron cache's writer.
    """

    def rights(asked: Asked) -> PartErased:
        return desk.run(
            lambda opened, moment: subject_rights.erase_rights(
                _writer(opened), asked.subject, asked.epoch, asked.by, moment, why=asked.why
            )
        )

    def patron(asked: Asked) -> PartErased:
        assert isinstance(register, PatronCacheWriter)  # noqa: S101 - whom web opens
        job = partial(erase_patron, register.path, register.database, asked.subject)
        return worker.submit(job).result()

    def changing(change: Change) -> Callable[[Asked], None]:
        return lambda asked: desk.run(
            lambda opened, moment: change(
                _writer(opened), asked.subject, asked.by, moment, asked.why
            )
        )

    return {
        ERASE_RIGHTS: answering(rights),
        ERASE_PATRON: answering(patron),
        RESTRICT: answering(changing(subject_rights.restrict)),
        UNRESTRICT: answering(changing(subject_rights.unrestrict)),
    }


def _writer(opened: OpenBranch) -> BranchRecordsWriter:
    assert isinstance(opened.writer, BranchRecordsWriter)  # noqa: S101 - whom the desk opens
    return opened.writer
