"""A socket for every user of this machine, over real sockets, with callers who say nothing.

Bug (second penetration test, S8): six silent connections of any user, renewed every two seconds,
made `doorctl check` CRITICAL in three of six calls.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from doorctl.rpc.client import ask
from doorctl.rpc.messages import Line
from doorctl.rpc.public import OF_A_USER, OF_ALL, Callers
from tests.fakes.another_user import NOBODY
from tests.fakes.waiting import LIMIT_S
from tests.rpc.serving import serving

MOST_BYTES = 100


@pytest.fixture
def path() -> Iterator[Path]:
    """A socket where nobody has to ask in a hurry, in a directory that every user can look into."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o711)
        with answering(Path(name, "check.sock"), LIMIT_S) as path:
            yield path


@contextmanager
def answering(path: Path, say_s: float) -> Iterator[Path]:
    """Answer each line with the user's number and the line."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(0o666)
        listener.listen(3 * OF_ALL)
        failed = list[str]()
        callers = Callers(
            listener,
            lambda line, user: b"%d %b\n" % (user, line),
            failed.append,
            MOST_BYTES,
            say_s,
        )
        thread = threading.Thread(target=callers.serve)
        thread.start()
        try:
            yield path
        finally:
            callers.stop()
            thread.join()
        assert failed == []


def calling(path: Path, user: int | None = None) -> socket.socket:
    """Connect, as another user if one is given, and say nothing."""
    line = socket.socket(socket.AF_UNIX)
    line.settimeout(LIMIT_S)
    if user is not None:
        os.seteuid(user)
    try:
        line.connect(str(path))
    finally:
        if user is not None:
            os.seteuid(0)
    return line


def heard(line: socket.socket) -> bytes:
    """Return all that a caller hears until it is hung up on."""
    with line, line.makefile("rb") as answer, suppress(ConnectionResetError):
        return answer.read()
    return b""


def said(path: Path, *pieces: bytes) -> bytes:
    """Say something, piece by piece, and return all that is answered."""
    line = calling(path)
    for piece in pieces:
        line.sendall(piece)
    return heard(line)


@pytest.mark.parametrize(
    ("pieces", "answer"),
    [
        ((b"how\n",), b"how"),
        ((b"h", b"o", b"w\nand more\n"), b"how"),
        ((b"\n",), b""),
        ((b"x" * MOST_BYTES,), b"x" * MOST_BYTES),
    ],
)
def test_a_line_is_answered_with_who_asks(
    path: Path, pieces: tuple[bytes, ...], answer: bytes
) -> None:
    """Once, whatever comes after it; the kernel says who it is."""
    assert said(path, *pieces).startswith(b"%d %b" % (os.geteuid(), answer))


def test_half_a_line_is_answered_as_one(path: Path) -> None:
    """By the caller who says no more."""
    with calling(path) as line:
        line.sendall(b"how")
        line.shutdown(socket.SHUT_WR)
        assert line.recv(MOST_BYTES) == b"%d how\n" % os.geteuid()


def test_silent_callers_keep_nobody_waiting(path: Path) -> None:
    """None of them would be hung up on in the time of a test."""
    with ExitStack() as silent:
        for _ in range(OF_A_USER - 1):
            silent.enter_context(calling(path))
            assert said(path, b"how\n")


def test_the_silent_one_that_waited_longest_goes(path: Path) -> None:
    """Where its user has no other place left; the others stay, and may still ask."""
    silent = [calling(path) for _ in range(OF_A_USER + 3)]

    assert [heard(line) for line in silent[:3]] == [b""] * 3
    for line in silent[3:]:
        line.sendall(b"how\n")
        assert heard(line).endswith(b"how\n")


def test_whoever_has_asked_is_answered_before_he_goes(path: Path) -> None:
    """However many ask at once."""
    for _ in range(3):
        lines = [calling(path) for _ in range(OF_A_USER - 1)]
        for line in lines:
            line.sendall(b"how\n")
        assert all(heard(line).endswith(b"how\n") for line in lines)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can ask as another user")
def test_no_user_takes_another_ones_place(path: Path) -> None:
    """Root's silent caller keeps it, while another user begins more than anybody may."""
    roots = calling(path)
    others = [calling(path, NOBODY) for _ in range(2 * OF_ALL)]
    roots.sendall(b"how\n")
    others[-1].sendall(b"how\n")

    assert heard(roots) == b"0 how\n"
    assert heard(others[-1]) == b"%d how\n" % NOBODY
    for line in others:
        line.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can ask as other users")
def test_many_users_take_no_more_than_there_is(path: Path) -> None:
    """What the process holds open is bounded, whoever comes."""
    silent = [
        calling(path, 70_000 + user)
        for user in range(OF_ALL // OF_A_USER)
        for _ in range(OF_A_USER)
    ]
    one_more = calling(path, 80_000)

    assert heard(silent[0]) == b""
    one_more.sendall(b"how\n")
    assert heard(one_more) == b"80000 how\n"
    for line in silent:
        line.close()


def test_who_does_not_ask_in_time_is_hung_up_on(tmp_path: Path) -> None:
    """Whether he says nothing, or a byte now and then."""
    with answering(tmp_path / "check.sock", 0.1) as path:
        assert said(path) == b""
        assert said(path, b"h") == b""


def test_a_caller_who_does_not_wait_harms_nobody(path: Path) -> None:
    """The answer meets a closed socket, or a line is broken off."""
    for words in (b"how\n", b"h", b""):
        with calling(path) as line:
            line.sendall(words)

    assert said(path, b"how\n")


def test_renewed_silence_leaves_every_question_its_answer(tmp_path: Path) -> None:
    """As the door has it, whose every caller is one user: silent ones come without end."""
    over = threading.Event()

    def renew() -> None:
        held = list[socket.socket]()
        while not over.is_set():
            with suppress(OSError):
                held.append(calling(tmp_path / "check.sock"))
            while len(held) > 6:
                held.pop(0).close()
            over.wait(0.005)
        for line in held:
            line.close()

    answers = {"check": lambda _question: {"line": "well"}}
    with serving(tmp_path / "check.sock", answers, public=True) as path:
        renewing = threading.Thread(target=renew)
        renewing.start()
        try:
            for _ in range(50):
                answer = ask(path, Line("check"), timeout_s=LIMIT_S, process="door process")
                assert answer == {"line": "well"}
        finally:
            over.set()
            renewing.join()
