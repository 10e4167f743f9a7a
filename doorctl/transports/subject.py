"""A person's rights on their way to each database's one writer, over its process's Unix socket."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
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


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of a database's writer.

    Args:
        subject: the person.
        by: the caller's login, on the caller's own word: the socket is for its owner and root.
        epoch: which push the register holds.
        why: the reason, for the audit log; empty for none.
    """

    subject: Subject
    by: str
    epoch: int = 0
    why: str = field(default="", repr=False)


# What is empty is left out, so that a process of the version before understands the rest.
class _About(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    row_keys: list[bytes]
    patron_ref: str | None
    epoch: int
    by: str
    why: str = ""

    def __repr__(self) -> str:
        return "_About(***)"


def ask_about(
    path: Path,
    name: str,
    asked: Asked,
    *,
    whom: str,
    timeout_s: float,
) -> Any:
    """Have a process do one of the questions above; return what came of it, as it travelled.

    Args:
        path: the process's socket.
        name: one of the questions above.
        asked: of whom, by whom and why.
        whom: ``door`` or ``web``.
        timeout_s: longest wait.

    Raises:
        InputError: it was refused; nothing was changed.
        NotAnsweringError: the process is not running, or it did not answer in time.
        StoreError: it could not be done.
    """
    who = asked.subject
    about = _About(sorted(who.row_keys), who.patron_ref, asked.epoch, asked.by, asked.why)
    question = Question(name, msgspec.to_builtins(about))
    if len(msgspec.json.encode(question)) >= LINE_LIMIT:
        raise InputError("the person has too many cards for one question; name them one by one")
    told = ask(path, question, timeout_s=timeout_s, whom=whom)
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


def answering(work: Callable[[Asked], object]) -> Callable[[Question], Answer]:
    """Return a process's answer to one of the questions.

    Args:
        work: does it, on the writer's thread; may raise `DoorctlError`. Called on a thread for
            each question.
    """

    def answer(question: Question) -> Answer:
        about = msgspec.convert(question.about, _About)
        subject = Subject(frozenset(about.row_keys), about.patron_ref)
        done = work(Asked(subject, about.by, about.epoch, about.why))
        return {"done": msgspec.to_builtins(done)}

    return answer
