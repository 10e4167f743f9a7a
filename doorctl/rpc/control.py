"""A process's Unix socket: one JSON line asks, one JSON line answers.

The door and the web process have one each, because each database has one writing process: a purge
of the door log is asked of the door, a new row of the patron cache of web. A socket is for its
owner only (0600), or for the group that door and web share where its directory is that group's too.
The kernel says of each question whether root asks, and if not, which user. A public socket, which
answers how the door is, is for every user.
"""

from __future__ import annotations

import contextlib
import os
import socket
import socketserver
import stat
import struct
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from time import perf_counter
from typing import Any, Generic, TypeVar

import msgspec

from doorctl.core.errors import (
    AlreadyExistsError,
    DoorctlError,
    HungError,
    InputError,
    NotAnsweringError,
    NotRunningError,
    StoreError,
)
from doorctl.core.identity import ROOT, login, shared_in
from doorctl.rpc.public import BACKLOG, Callers

LINE_LIMIT = 16_384
"""Longest question in bytes; a ban with a letter of a page takes half of it."""

ANSWER_LIMIT = 16 * 1024 * 1024
"""Longest answer in bytes; all that is held of one person is far less."""

READ_BYTES = 65_536

THERE_S = 1.0
"""Longest wait for a door process that is there; a healthy one answers in milliseconds."""

ASKED_AT_ONCE_S = 2.0
"""A question with so short a limit is asked at once, such as a key that is on its way."""

REFUSED = "refused"
"""The key of a refusal's reason in an answer; the mistake is the caller's."""

_VALUES: Mapping[str, Any] = {"day": date, "time": datetime}
"""The types of an `InputError`'s values of these names."""

QUESTION_LIMIT_S = 2.0
"""A caller that has not asked by then is cut off."""

_HIDDEN = 65_534
"""The user number by which systemd's ``PrivateUsers=`` shows every user but root and ours; proc(5),
overflowuid."""

_CREDENTIALS = struct.Struct("iII")
"""``struct ucred``: process, real user and group of the sender of a message; unix(7)."""


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A question; `about` is in the form that the answering process wants, and is shown nowhere.

    In the answering process, `asker` is the user who asks and None for root, whatever the line
    said.
    """

    ask: str
    about: Mapping[str, Any] = msgspec.field(default_factory=dict)
    asker: str | None = None

    def signed(self, name: str) -> str:
        """Return `name` for the record, with the user who asks: web could make a name up."""
        return name if self.asker in {None, name} else f"{self.asker}, who names {name}"

    def __repr__(self) -> str:
        return f"Question({self.ask})"


Answer = Mapping[str, Any]
Answers = Mapping[str, Callable[[Question], Answer]]
Failed = Callable[[str], None]


class ControlServer:
    """Answer questions, each on a thread of its own.

    Args:
        path: where the socket is made; an old one is replaced, so hold the writer's lock.
        answers: by question; an answer may raise `InputError`, which is sent as a refusal, and any
            other `DoorctlError`, which is sent as a failure. Of any other error only the kind is
            sent, for its text may quote anything.
        failed: called with that kind, from another thread; must not raise.
        kept: the questions that root alone may ask.
        others: the questions that users may ask who are neither root nor ours; None for all.
        peer: the name of a user whom the kernel does not name: the one other that comes here.
        public: whether every user of this machine may ask. One thread answers them all, so that
            many questions cost the process no more.

    Raises AlreadyExistsError: something that is no socket is there; it was not touched. StoreError:
    the socket could not be made.
    """

    def __init__(
        self,
        path: Path,
        answers: Answers,
        name: str = "control",
        failed: Failed = lambda _kind: None,
        kept: frozenset[str] = frozenset(),
        *,
        others: frozenset[str] | None = None,
        peer: str = "nobody",
        public: bool = False,
    ) -> None:
        self._path = path
        try:
            if not _remove_socket(path):
                raise AlreadyExistsError(f"{path} is no socket; name another path in the config")
            self._server = _Public(path, 0o666) if public else _Threaded(path)
        except OSError as err:
            # The socket module's own error, about a path that is too long, has no strerror.
            if isinstance(err, AlreadyExistsError):
                raise
            raise StoreError(f"control socket {path}: {err.strerror or err}") from err
        self._server.answering = _Answering(answers, failed, kept, others, peer)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.2,), name=name, daemon=True
        )

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Stop answering and remove the socket."""
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()
        with contextlib.suppress(OSError):
            # On a disk that has become read-only it stays; the next start replaces it.
            _remove_socket(self._path)


def _remove_socket(path: Path) -> bool:
    """Remove the socket at a path; tell whether nothing is there then."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            return False
        path.unlink()
    except FileNotFoundError:
        pass
    return True


@dataclass(frozen=True, slots=True)
class _Answering:
    """What is answered to whom; see `ControlServer`."""

    answers: Answers
    failed: Failed
    kept: frozenset[str]
    others: frozenset[str] | None
    peer: str

    def encoded(self, line: bytes, user: int) -> bytes:
        """Return the whole answer to a line, with its end."""
        try:
            return msgspec.json.encode(self._answer(line, user)) + b"\n"
        except Exception as err:  # noqa: BLE001 - a caller without an answer would do it itself
            kind = type(err).__name__
            self.failed(kind)
            return msgspec.json.encode({"error": f"a fault of doorctl's own ({kind})"}) + b"\n"

    def _answer(self, line: bytes, user: int) -> Answer:
        try:
            read = msgspec.json.decode(line, type=Question)
            question = Question(read.ask, read.about, self._name(user))
            answer = self.answers[question.ask]
        except (msgspec.MsgspecError, KeyError, RecursionError):
            return {"error": "that question is not known"}
        if why := self._refusal(user, question.ask):
            return {REFUSED: f"{why}: doorctl as root does it"}
        try:
            return answer(question)
        except msgspec.ValidationError:
            return {"error": "that question is not complete"}
        except InputError as refusal:
            more = {"text": refusal.text, "values": refusal.values} if refusal.values else {}
            return {REFUSED: str(refusal), **more}
        except DoorctlError as err:
            return {"error": str(err)}

    def _refusal(self, user: int, ask: str) -> str:
        if user != ROOT and ask in self.kept:
            return "control.kept_from_web keeps that for root"
        if self.others is None or user in {ROOT, os.geteuid()} or ask in self.others:
            return ""
        return "that is not for another user to ask"

    def _name(self, user: int) -> str | None:
        if user == ROOT:
            return None
        return self.peer if user == _HIDDEN else login(user)


class _Server(socketserver.UnixStreamServer):
    answering: _Answering

    def __init__(self, path: Path, mode: int | None = None) -> None:
        self._path = path
        self._mode = mode
        super().__init__(str(path), _Handler)

    def server_bind(self) -> None:
        # The file gets the mode of the socket; the umask would be that of every thread.
        os.fchmod(self.socket.fileno(), 0o600)
        super().server_bind()
        # The umask may have taken some of these bits; nobody listens yet.
        self._path.chmod(self._mode or shared_in(self._path.parent))

    def handle_error(self, _request: object, _client: object) -> None:
        # Such as no thread for an answer; socketserver would print it with whatever it quotes.
        self.answering.failed(type(sys.exception()).__name__)


class _Threaded(socketserver.ThreadingMixIn, _Server):
    daemon_threads = True
    block_on_close = False


class _Public(_Server):
    request_queue_size = BACKLOG

    def server_activate(self) -> None:
        super().server_activate()
        self._callers = Callers(self.socket, self._answer, self._failed, LINE_LIMIT)

    def serve_forever(self, _poll_s: float = 0.0) -> None:
        self._callers.serve()

    def shutdown(self) -> None:
        self._callers.stop()

    def _answer(self, line: bytes, user: int) -> bytes:
        return self.answering.encoded(line, user)

    def _failed(self, kind: str) -> None:
        self.answering.failed(kind)


class _Handler(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            line, user = self._line()
            self.wfile.write(self.server.answering.encoded(line, user))

    def _line(self) -> tuple[bytes, int]:
        """Read a line; return it with the user that the kernel vouches for."""
        line, users, ends_s = b"", set(), perf_counter() + QUESTION_LIMIT_S
        while b"\n" not in line and len(line) < LINE_LIMIT:
            if (left_s := ends_s - perf_counter()) <= 0:
                raise TimeoutError
            self.connection.settimeout(left_s)
            some, ancillary, _, _ = self.connection.recvmsg(
                LINE_LIMIT - len(line), socket.CMSG_SPACE(_CREDENTIALS.size)
            )
            if not some:
                break
            line += some
            users |= {_CREDENTIALS.unpack(data)[1] for _, _, data in ancillary}
        return line.partition(b"\n")[0], max(users, default=ROOT)


def ask(path: Path, question: Question, *, timeout_s: float, whom: str = "door") -> dict[str, Any]:
    """Ask a process and return its answer; `timeout_s` is for the whole answer.

    Before a question that may take long, the door is asked whether it is there: one that hangs is
    as good as dead after a second. Raises InputError: it was refused, with the answerer's reason;
    nothing was changed. NotRunningError: nobody takes questions there; nothing was asked.
    NotAnsweringError: it was asked, and gave no answer in time; it may be done all the same.
    StoreError: it answered that it could not do it, or this process has no socket to ask by.
    """
    if whom == "door" and timeout_s > ASKED_AT_ONCE_S:
        ask_whether_there(path)
    answer = _asked(path, question, timeout_s, whom)
    if REFUSED in answer:
        raise _refusal(answer)
    if "error" in answer:
        raise StoreError(str(answer["error"]))
    return answer


def ask_whether_there(path: Path) -> None:
    """Return once the door process takes questions.

    Raises NotRunningError: it is not running, or does not answer within :data:`THERE_S`; nothing
    was asked of it. StoreError: this process has no socket to ask by.
    """
    try:
        # One that does not know the question is there too.
        _asked(path, Question("there"), THERE_S, "door")
    except NotRunningError:
        raise
    except NotAnsweringError as err:
        raise HungError(str(err)) from err


def _asked(path: Path, question: Question, timeout_s: float, whom: str) -> dict[str, Any]:
    error: type[NotAnsweringError] = NotRunningError
    try:
        asking = socket.socket(socket.AF_UNIX)
    except OSError as err:
        # Our own shortage, such as of descriptors: it says nothing of the other process.
        raise StoreError(f"no socket to ask the {whom} process by: {err.strerror}") from err
    try:
        with asking as line:
            line.settimeout(timeout_s)
            # Every message then carries its sender, whenever the other side reads it.
            line.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            line.connect(str(path))
            error = NotAnsweringError
            line.sendall(msgspec.json.encode(question) + b"\n")
            return msgspec.json.decode(_answer_of(line, timeout_s), type=dict[str, Any])
    except (OSError, ValueError, msgspec.MsgspecError, RecursionError) as err:
        raise error(
            f"the {whom} process does not answer on {path}; "
            f"is it running? (systemctl status doorctl-{whom})"
        ) from err


def _refusal(answer: dict[str, Any]) -> InputError:
    """Return a refusal as it was raised in the other process.

    The sentence stands as it was sent, for no process fills in another one's text; only pages use
    the values, and show the sentence without them.
    """
    refusal = InputError(str(answer[REFUSED]))
    with contextlib.suppress(msgspec.ValidationError, KeyError):
        sent = msgspec.convert(answer["values"], dict[str, int | str])
        values = {
            name: msgspec.convert(value, _VALUES.get(name, int | str))
            for name, value in sent.items()
        }
        refusal.text, refusal.values = msgspec.convert(answer["text"], str), values
    return refusal


AboutT = TypeVar("AboutT")
ReplyT = TypeVar("ReplyT")


class Nothing(msgspec.Struct, frozen=True):
    """An empty message."""


class Done(msgspec.Struct, Generic[ReplyT], frozen=True):
    """The result of a request."""

    done: ReplyT


@dataclass(frozen=True, slots=True)
class Call(Generic[AboutT, ReplyT]):
    """A question, declared once: its name, the types of both messages, and who answers it."""

    name: str
    about: type[AboutT]
    reply: type[ReplyT]
    whom: str
    too_long: str = "that is too much to ask at once; shorten it"

    def ask(self, path: Path, about: AboutT, *, timeout_s: float) -> ReplyT:
        """Ask it, as :func:`ask` does.

        Raises InputError: also where it does not fit into a line; it was not asked then.
        StoreError: also where the reply can't be read.
        """
        question = Question(self.name, msgspec.to_builtins(about))
        if len(msgspec.json.encode(question)) >= LINE_LIMIT:
            raise InputError(self.too_long)
        answer = ask(path, question, timeout_s=timeout_s, whom=self.whom)
        # Its text would quote what was answered.
        with contextlib.suppress(msgspec.ValidationError):
            reply = msgspec.convert(answer, self.reply)
            if _is_whole(answer, msgspec.to_builtins(reply)):
                return reply
        raise StoreError(f"the {self.whom} process is of another version; restart it")

    def answered(self, work: Callable[[AboutT], ReplyT]) -> Answers:
        """Return the answer of the process that is asked; `work` may raise `DoorctlError`."""

        def answer(question: Question) -> Answer:
            reply: Answer = msgspec.to_builtins(work(msgspec.convert(question.about, self.about)))
            return reply

        return {self.name: answer}


def _is_whole(answer: Any, read: Any) -> bool:
    """Tell whether nothing of an answer was filled in: a row without its blocks has not none."""
    if not isinstance(read, dict):
        return True
    return all(name in answer and _is_whole(answer[name], read[name]) for name in read)


def _answer_of(line: socket.socket, limit_s: float) -> bytes:
    """Read up to the line feed, within the limit in all, so that a slow peer holds nobody."""
    began_s = perf_counter()
    answer = bytearray()
    while not answer.endswith(b"\n"):
        left_s = limit_s - (perf_counter() - began_s)
        if left_s <= 0 or len(answer) > ANSWER_LIMIT:
            raise TimeoutError
        line.settimeout(left_s)
        some = line.recv(READ_BYTES)
        if not some:
            break
        answer += some
    return bytes(answer)
