"""A person's rights on their way to each database's one writer, over its process's Unix socket."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from doorctl.errors import InputError, StoreError
from doorctl.privacy.subject import Subject
from doorctl.privacy.subject_erasure import PartErased
from doorctl.transports.control import LINE_LIMIT, Answer, Question, ask

ERASE_VISITS = "subject_erase_visits"
"""Asked of the door process; all others of web."""

ERASE_PATRON = "subject_erase_patron"
ERASE_RIGHTS = "subject_erase_rights"
RESTRICT = "subject_restrict"
UNRESTRICT = "subject_unrestrict"


class _About(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who it is about; `by` is the caller's own word: the socket is for its owner and root."""

    row_keys: list[bytes]
    patron_ref: str | None
    epoch: int
    by: str

    def __repr__(self) -> str:
        return "_About(***)"


def ask_about(
    path: Path,
    name: str,
    subject: Subject,
    *,
    by: str,
    whom: str,
    timeout_s: float,
    epoch: int = 0,
) -> Any:
    """Have a process do one of the questions above; return what came of it, as it travelled.

    Args:
        path: the process's socket.
        name: one of the questions above.
        subject: the person.
        by: the caller's login.
        whom: ``door`` or ``web``.
        timeout_s: longest wait.
        epoch: which push the register holds.

    Raises:
        InputError: it was refused; nothing was changed.
        NotAnsweringError: the process is not running, or it did not answer in time.
        StoreError: it could not be done.
    """
    about = _About(sorted(subject.row_keys), subject.patron_ref, epoch, by)
    question = Question(name, msgspec.to_builtins(about))
    if len(msgspec.json.encode(question)) >= LINE_LIMIT:
        raise InputError("the person has too many cards for one question; name them one by one")
    told = ask(path, question, timeout_s=timeout_s, whom=whom)
    if "refused" in told:
        raise InputError(str(told["refused"]))
    return told.get("done")


def erased(done: Any) -> PartErased:
    """Return what came of an erasure.

    Raises:
        StoreError: the process speaks another version's language.
    """
    try:
        return msgspec.convert(done, PartErased)
    except msgspec.ValidationError:
        raise StoreError("the process is of another version; restart it") from None


def answering(work: Callable[[Subject, int, str], object]) -> Callable[[Question], Answer]:
    """Return a process's answer to one of the questions.

    Args:
        work: does it, on the writer's thread, for a person, an epoch and a caller; may raise
            `DoorctlError`. Called on a thread for each question.
    """

    def answer(question: Question) -> Answer:
        about = msgspec.convert(question.about, _About)
        subject = Subject(frozenset(about.row_keys), about.patron_ref)
        try:
            done = work(subject, about.epoch, about.by)
        except InputError as refusal:
            return {"refused": str(refusal)}
        return {"done": msgspec.to_builtins(done)}

    return answer
