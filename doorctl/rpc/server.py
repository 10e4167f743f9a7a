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
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import msgspec

from doorctl.core.errors import AlreadyExistsError, DoorctlError, InputError, StoreError
from doorctl.core.identity import ROOT, login, shared_in
from doorctl.core.ports import AlarmOnce, EventLog
from doorctl.rpc.messages import (
    CREDENTIALS,
    ERROR,
    LINE_LIMIT,
    QUESTION_LIMIT_S,
    REFUSED,
    Answer,
    Line,
    sent_refusal,
)
from doorctl.rpc.public import BACKLOG, Callers
from doorctl.rpc.question import Answers, Askers

_HIDDEN = 65_534
"""The user number by which systemd's ``PrivateUsers=`` shows every user but root and ours; proc(5),
overflowuid."""

Failed = Callable[[str], None]


class ControlServer:
    """Answer questions, each on a thread of its own.

    Args:
        path: where the socket is made; an old one is replaced, so hold the writer's lock.
        answers: by question, with who may ask it. An answer may raise `InputError`, which is sent
            as a refusal, and any other `DoorctlError`, which is sent as a failure. Of any other
            error only the kind is sent, for its text may quote anything.
        failed: called with that kind, from another thread; must not raise.
        kept: the questions that root alone may ask.
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
        self._server.replies = _Replies(answers, failed, kept, peer)
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


def answer_until_closed(
    opened: Callable[..., ControlServer], log: EventLog, stack: ExitStack, part: str = ""
) -> None:
    """Answer on a socket until the stack ends; alarms say if it can't be made, and of our faults.

    `opened` takes what to do about a fault as `failed`, and makes the server; `part` names it in
    the alarm, where a process has several.
    """

    def failed(kind: str) -> None:
        log.emit("alarm", kind="rounds_failing", why=f"control: {kind}")

    failing = AlarmOnce(log, "control_failing", part)
    try:
        server = opened(failed=failed)
    except StoreError as err:
        failing.tell(str(err))
        return
    failing.tell(None)
    server.start()
    stack.callback(server.stop)


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
class _Replies:
    """What is answered to whom; see `ControlServer`."""

    answers: Answers
    failed: Failed
    kept: frozenset[str]
    peer: str

    def encoded(self, line: bytes, user: int) -> bytes:
        """Return the whole answer to a line, with its end."""
        try:
            return msgspec.json.encode(self._answer(line, user)) + b"\n"
        except Exception as err:  # noqa: BLE001 - a caller without an answer would do it itself
            kind = type(err).__name__
            self.failed(kind)
            return msgspec.json.encode({ERROR: f"a fault of doorctl's own ({kind})"}) + b"\n"

    def _answer(self, line: bytes, user: int) -> Answer:
        try:
            read = msgspec.json.decode(line, type=Line)
            answering = self.answers[read.ask]
        except (msgspec.MsgspecError, KeyError, RecursionError):
            return {ERROR: "that question is not known"}
        if why := self._refusal(user, read.ask, answering.askers):
            return {REFUSED: f"{why}: doorctl as root does it"}
        try:
            return answering.answer(Line(read.ask, read.about, self._name(user)))
        except InputError as refusal:
            return sent_refusal(refusal)
        except DoorctlError as err:
            return {ERROR: str(err)}

    def _refusal(self, user: int, ask: str, askers: Askers) -> str:
        if user != ROOT and ask in self.kept:
            return "control.kept_from_web keeps that for root"
        if askers is not Askers.OWN or user in {ROOT, os.geteuid()}:
            return ""
        return "that is not for another user to ask"

    def _name(self, user: int) -> str | None:
        if user == ROOT:
            return None
        return self.peer if user == _HIDDEN else login(user)


class _Server(socketserver.UnixStreamServer):
    replies: _Replies

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
        self.replies.failed(type(sys.exception()).__name__)


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
        return self.replies.encoded(line, user)

    def _failed(self, kind: str) -> None:
        self.replies.failed(kind)


class _Handler(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            line, user = self._line()
            self.wfile.write(self.server.replies.encoded(line, user))

    def _line(self) -> tuple[bytes, int]:
        """Read a line; return it with the user that the kernel vouches for."""
        line, users, ends_s = b"", set(), perf_counter() + QUESTION_LIMIT_S
        while b"\n" not in line and len(line) < LINE_LIMIT:
            if (left_s := ends_s - perf_counter()) <= 0:
                raise TimeoutError
            self.connection.settimeout(left_s)
            some, ancillary, _, _ = self.connection.recvmsg(
                LINE_LIMIT - len(line), socket.CMSG_SPACE(CREDENTIALS.size)
            )
            if not some:
                break
            line += some
            users |= {CREDENTIALS.unpack(data)[1] for _, _, data in ancillary}
        return line.partition(b"\n")[0], max(users, default=ROOT)
