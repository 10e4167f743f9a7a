"""Asks the web process, the one writer of ``branch.db``, for a deed of staff, over its socket."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from doorctl.core.errors import InputError, StoreError
from doorctl.core.moments import Moment
from doorctl.rpc.control import LINE_LIMIT, Answer, Answers, Question, Unshown, ask
from doorctl.rpc.deeds import DEEDS, OpenBranch, Request, StaffDeed

ResultT = TypeVar("ResultT")

MARGIN_S = 5.0
"""A change that has not begun this long before its caller gives up is not made any more."""


class _Message(Unshown, frozen=True):
    """A request on the socket; `before_s` is CLOCK_MONOTONIC, the same for all of the machine.

    `by` is the caller's own word: the socket is for its owner and root alone.
    """

    request: dict[str, Any]
    by: str
    before_s: float


def ask_web(
    path: Path, request: Request[ResultT], *, by: str, timeout_s: float, monotonic_s: float
) -> ResultT:
    """Have the web process change ``branch.db`` by its own clock, audited; return the result.

    `timeout_s` is the longest wait, more than :data:`MARGIN_S`. A change that has not begun that
    long before its end is dropped.

    Raises:
        InputError: it was refused, with the writer's reason; nothing was changed.
        NotAnsweringError: web is not running, or it did not answer in time.
        StoreError: the file can't be written; nothing was changed.
    """
    arguments = msgspec.to_builtins(request.arguments)
    about = _Message(arguments, by, monotonic_s + timeout_s - MARGIN_S)
    question = Question(request.deed.name, msgspec.to_builtins(about))
    if len(msgspec.json.encode(question)) >= LINE_LIMIT:
        raise InputError("that is too much text to hand to the web process; shorten it")
    answer = ask(path, question, timeout_s=timeout_s, whom="web")
    try:
        result: ResultT = msgspec.convert(answer.get("done"), request.deed.result)
    except msgspec.ValidationError:
        raise StoreError("the web process is of another version; restart it") from None
    return result


def branch_answers(
    run: Callable[[Callable[[OpenBranch, Moment], Any]], Any], monotonic_s: Callable[[], float]
) -> Answers:
    """Return the web process's answers to requests to change ``branch.db``.

    `run` does a job on the writer's thread; each question calls it on a thread of its own.
    """

    def answer(deed: StaffDeed[..., Any], question: Question) -> Answer:
        message = msgspec.convert(question.about, _Message)
        request = Request(deed, msgspec.convert(message.request, deed.arguments))

        def in_time(branch: OpenBranch, moment: Moment) -> Any:
            # Its caller has gone, who was told that it failed.
            if monotonic_s() >= message.before_s:
                raise StoreError("the web process was stuck and nothing was changed; try again")
            return request.run(branch, message.by, moment)

        return {"done": msgspec.to_builtins(run(in_time))}

    return {name: partial(answer, deed) for name, deed in DEEDS.items()}
