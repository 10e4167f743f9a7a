"""A question of one process to another: its one declaration, by which it is asked and answered.

The declaration says the question's name, its arguments, its answer, which process answers, how long
that may take, and who may ask. The client asks with the arguments' type, the server registers a
function of it; what is none is refused here, in one line, before that function is called.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

import msgspec

from doorctl.core.errors import InputError, OtherReleaseError, StoreError
from doorctl.core.masked import Pin
from doorctl.rpc.client import ask
from doorctl.rpc.messages import LINE_LIMIT, Answer, Line

Process = Literal["door", "web"]

ArgumentsT = TypeVar("ArgumentsT")
AnswerT = TypeVar("AnswerT")

NOT_READ = "that question is not complete, or of another release of doorctl; nothing was changed"
"""The answer to arguments that are none; it quotes nothing of them."""


class Askers(Enum):
    """Who may ask a question."""

    OWN = "root and the user of the process that answers"
    PEER = "these, and the user of the other process"
    EVERYBODY = "every user of this machine"


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No arguments."""


class Empty(msgspec.Struct, frozen=True):
    """An answer that says nothing but that it was done."""


class Done(msgspec.Struct, Generic[AnswerT], frozen=True):
    """The result of a request."""

    done: AnswerT


@dataclass(frozen=True, slots=True)
class Answering:
    """How a process answers a line, and who may ask it that."""

    answer: Callable[[Line], Answer]
    askers: Askers = Askers.PEER


Answers = Mapping[str, Answering]
"""What a socket answers, by the question's name."""


@dataclass(frozen=True, slots=True)
class Question(Generic[ArgumentsT, AnswerT]):
    """A question, declared once.

    Attributes:
        limit_s: the longest wait for the answer, for a caller that says no other one.
        too_long: what a caller reads whose arguments do not fit into a line.
        whole: whether an answer, and each row in it, must have all its fields; those that are
            missing have their defaults where it need not.
    """

    name: str
    arguments: type[ArgumentsT]
    answer: type[AnswerT]
    process: Process
    limit_s: float
    askers: Askers = Askers.PEER
    too_long: str = "that is too much to ask at once; shorten it"
    whole: bool = True

    def ask(self, path: Path, arguments: ArgumentsT, *, timeout_s: float | None = None) -> AnswerT:
        """Ask it on a process's socket, as :func:`doorctl.rpc.client.ask` does.

        Raises InputError: also where it does not fit into a line; it was not asked then.
        OtherReleaseError: the answer can't be read.
        """
        line = Line(self.name, msgspec.to_builtins(arguments, enc_hook=_revealed))
        if len(msgspec.json.encode(line)) >= LINE_LIMIT:
            raise InputError(self.too_long)
        limit_s = self.limit_s if timeout_s is None else timeout_s
        answer = ask(path, line, timeout_s=limit_s, process=self.process)
        # Its text would quote what was answered.
        with contextlib.suppress(msgspec.ValidationError):
            read = msgspec.convert(answer, self.answer)
            if not self.whole or _is_whole(answer, msgspec.to_builtins(read)):
                return read
        raise OtherReleaseError(f"the {self.process} process is of another version; restart it")

    def answered(self, work: Callable[[ArgumentsT], AnswerT]) -> Answers:
        """Return how the process answers it by `work`, which may raise `DoorctlError`."""
        return self.answered_to(lambda arguments, _line: work(arguments))

    def answered_to(self, work: Callable[[ArgumentsT, Line], AnswerT]) -> Answers:
        """Return the same for a `work` that also gets the line, which says who asks."""

        def answer(line: Line) -> Answer:
            try:
                arguments = msgspec.convert(line.about, self.arguments, dec_hook=_masked)
            except msgspec.ValidationError:
                # Its text would quote what was asked.
                raise StoreError(NOT_READ) from None
            answer: Answer = msgspec.to_builtins(work(arguments, line))
            return answer

        return {self.name: Answering(answer, self.askers)}


def _revealed(value: object) -> object:
    if isinstance(value, Pin):
        return value.reveal()
    raise NotImplementedError


def _masked(kind: type, value: object) -> object:
    if kind is Pin and isinstance(value, str):
        return Pin(value)
    raise ValueError


def _is_whole(answer: Any, read: Any) -> bool:
    """Tell whether an answer has every field: a row that lacks its blocks is not one without."""
    match read:
        case dict():
            return all(name in answer and _is_whole(answer[name], read[name]) for name in read)
        case list() | tuple():
            return all(map(_is_whole, answer, read))
    return True
