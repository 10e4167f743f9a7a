"""The control socket, over real Unix sockets, with callers who don't know how to behave.

Bug (stranger's review): `control.socket` deleted whatever file it named.

Bug (robustness review): a fault in an answer looked like a process that is not running, so the
caller wrote the file itself.
"""

from __future__ import annotations

import json
import os
import socket
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.core.errors import (
    AlreadyExistsError,
    HungError,
    InputError,
    NotAnsweringError,
    NotRunningError,
    StoreBusyError,
    StoreError,
)
from doorctl.core.identity import owner_of
from doorctl.core.ports import Unshown
from doorctl.rpc.client import ask
from doorctl.rpc.messages import LINE_LIMIT, QUESTION_LIMIT_S, Line
from doorctl.rpc.question import Answering, Done, Question
from doorctl.rpc.server import ControlServer
from tests.fakes.another_user import NOBODY, ask_as
from tests.fakes.waiting import LIMIT_S
from tests.rpc.serving import plain, saying, serving

ZONE = ZoneInfo("Europe/Copenhagen")

CARD = "no hex, 3000001234"
UNKNOWN = {"error": "that question is not known"}

Answers = dict[str, Answering | Callable[[Line], Mapping[str, Any]]]


def fail(_question: Line) -> Mapping[str, Any]:
    """Answer as a store that is busy."""
    raise StoreBusyError("visits.db is busy; try again when it is done")


ANSWERS: Answers = {
    "status": lambda _question: {"reader": "connected", "released": False},
    "unlock": lambda question: {"card": question.about["card"]},
    "purge": fail,
}


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """A socket that answers."""
    with serving(tmp_path / "door.sock", ANSWERS) as path:
        yield path


def say(path: Path, line: bytes) -> bytes:
    """Say something rude or polite, hang up one's own half, and return all that is answered."""
    with socket.socket(socket.AF_UNIX) as caller:
        caller.settimeout(LIMIT_S)
        caller.connect(str(path))
        caller.sendall(line)
        caller.shutdown(socket.SHUT_WR)
        with caller.makefile("rb") as answers:
            return answers.read()


def test_a_question_is_answered(path: Path) -> None:
    """With what the door says, and with the card where one is asked about."""
    assert ask(path, Line("status"), timeout_s=LIMIT_S) == {
        "reader": "connected",
        "released": False,
    }
    assert ask(path, Line("unlock", {"card": "00ff"}), timeout_s=LIMIT_S) == {"card": "00ff"}


def test_what_the_door_could_not_do_is_told(path: Path) -> None:
    """In the door's own words, as a `StoreError`."""
    with pytest.raises(StoreError, match=r"visits\.db is busy; try again"):
        ask(path, Line("purge"), timeout_s=LIMIT_S)


def refused(directory: Path, answer: Callable[[Line], Mapping[str, Any]]) -> InputError:
    """Ask what is answered so, and return the refusal."""
    with (
        serving(directory / "door.sock", {"hold_add": answer}) as path,
        pytest.raises(InputError) as raised,
    ):
        ask(path, Line("hold_add"), timeout_s=LIMIT_S)
    return raised.value


def test_the_values_of_a_refusal_come_along(tmp_path: Path) -> None:
    """So that a page can write them as its language does; the sentence stands as it was sent."""
    local = datetime(2026, 11, 25, 7, 5, tzinfo=ZONE)
    values: dict[str, object] = {"day": local.date(), "time": local, "n": 3, "name": "2026-11-25"}
    refusal = InputError("{name}: {n} from {day}, {time}", **values)

    def refuse(_question: Line) -> Mapping[str, Any]:
        raise refusal

    heard = refused(tmp_path, refuse)

    assert str(heard) == "2026-11-25: 3 from 2026-11-25, 2026-11-25 07:05"
    assert (heard.text, heard.values) == (refusal.text, values)


@pytest.mark.parametrize(
    "more", [{"text": "{n}"}, {"text": 1, "values": {}}, {"text": "", "values": {"day": "x"}}]
)
def test_values_that_are_not_understood_leave_the_sentence(
    tmp_path: Path, more: dict[str, Any]
) -> None:
    """Such as those of another version."""
    heard = refused(tmp_path, lambda _question: {"refused": "so it is {n}", **more})

    assert (str(heard), heard.values) == ("so it is {n}", {})


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"status\n",
        b"{}\n",
        b"[]\n",
        b'{"ask": 1}\n',
        b'{"ask": "status", "as": "root"}\n',
        b'{"ask": "__class__"}\n',
        b'{"ask": "status"',
        b"\xff\xfe\x00\n",
        b"[" * 2000 + b"\n",
        b'{"ask":"status","about":' + b'{"a":' * 3000 + b"\n",
    ],
)
def test_garbage_gets_one_answer_and_the_next_caller_is_served(path: Path, line: bytes) -> None:
    """The same for all of it, without a word of what was said."""
    assert json.loads(say(path, line)) == UNKNOWN
    assert ask(path, Line("status"), timeout_s=LIMIT_S)


@given(line=st.binary(max_size=200))
def test_no_bytes_stop_the_server(path: Path, line: bytes) -> None:
    """Each caller gets exactly one line of JSON."""
    answer = say(path, line + b"\n")

    assert json.loads(answer) == UNKNOWN
    assert answer.count(b"\n") == 1


def test_a_line_that_is_too_long_is_not_read_on(path: Path) -> None:
    """The first bytes are no question; the rest is not kept."""
    question = b'{"ask": "status", "card": "' + b"0" * LINE_LIMIT + b'"}\n'
    with pytest.raises((ConnectionError, AssertionError)):
        assert json.loads(say(path, question)) != UNKNOWN
    assert ask(path, Line("status"), timeout_s=LIMIT_S)


def test_a_silent_caller_is_cut_off(path: Path) -> None:
    """Without an answer, and without being in anybody's way meanwhile."""
    with socket.socket(socket.AF_UNIX) as silent:
        silent.settimeout(QUESTION_LIMIT_S + LIMIT_S)
        silent.connect(str(path))
        assert ask(path, Line("status"), timeout_s=LIMIT_S)

        assert silent.recv(1) == b""


def test_a_caller_who_does_not_wait_harms_nobody(path: Path) -> None:
    """The answer meets a closed socket."""
    for _ in range(5):
        with socket.socket(socket.AF_UNIX) as hasty:
            hasty.connect(str(path))
            hasty.sendall(b'{"ask": "status"}\n')

    assert ask(path, Line("status"), timeout_s=LIMIT_S)


def test_two_are_served_at_once(tmp_path: Path) -> None:
    """A purge that takes long does not hide the status: each answer waits for the other one."""
    both = threading.Barrier(2, timeout=LIMIT_S)
    answers: Answers = {"purge": lambda _question: {"arrived": both.wait() >= 0}}
    with serving(tmp_path / "door.sock", answers) as path:
        heard: list[dict[str, Any]] = []
        other = threading.Thread(
            target=lambda: heard.append(ask(path, Line("purge"), timeout_s=LIMIT_S))
        )
        other.start()
        heard.append(ask(path, Line("purge"), timeout_s=LIMIT_S))
        other.join()

    assert heard == [{"arrived": True}] * 2


def test_an_answer_that_takes_too_long_is_not_waited_for(tmp_path: Path) -> None:
    """The caller is told that the door does not answer; the door goes on.

    Only where nobody took the question is it certain that nothing was done.
    """
    gate = threading.Event()
    answers: Answers = {"status": lambda _question: {"waited": gate.wait(LIMIT_S)}}
    with serving(tmp_path / "door.sock", answers) as path:
        with pytest.raises(NotAnsweringError, match="does not answer") as caught:
            ask(path, Line("status"), timeout_s=0.05)
        assert not isinstance(caught.value, NotRunningError)
        gate.set()

        assert ask(path, Line("status"), timeout_s=LIMIT_S) == {"waited": True}


def test_a_door_that_hangs_is_asked_whether_it_is_there_and_nothing_else(tmp_path: Path) -> None:
    """A stopped process takes connections and answers none: it is as good as one that is dead.

    What was never asked is never done later either.

    Bug (outside look): behind a door process that hung each page of staff waited ten seconds.
    """
    path = tmp_path / "door.sock"
    with socket.socket(socket.AF_UNIX) as stopped:
        stopped.bind(str(path))
        stopped.listen()
        with pytest.raises(HungError, match="does not answer"):
            ask(path, Line("open"), timeout_s=3600.0)
        with stopped.accept()[0] as line:
            assert line.recv(LINE_LIMIT) == b'{"ask":"there"}\n'
        stopped.setblocking(False)
        with pytest.raises(BlockingIOError):
            stopped.accept()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (lambda question: {"card": int(question.about["card"])}, "ValueError"),
        (lambda question: {"card": Path(question.about["card"]).read_text()}, "FileNotFoundError"),
        (lambda question: {question.about["card"]: object()}, "TypeError"),
        (lambda question: question.about[question.about["card"]], "KeyError"),
    ],
)
def test_a_bug_in_an_answer_ends_one_call_alone(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    answer: Callable[[Line], Mapping[str, Any]],
    kind: str,
) -> None:
    """Its kind is told to the caller and to whoever alarms; what it quotes, to nobody.

    It is no silence: a caller who took it for one would write the file itself.
    """
    heard: list[str] = []
    answers: Answers = {**ANSWERS, "unlock": answer}
    with serving(tmp_path / "door.sock", answers, failed=heard.append) as path:
        with pytest.raises(StoreError) as caught:
            ask(path, Line("unlock", {"card": CARD}), timeout_s=LIMIT_S)

        assert ask(path, Line("status"), timeout_s=LIMIT_S)
    assert str(caught.value) == f"a fault of doorctl's own ({kind})"
    assert heard == [kind]
    assert capfd.readouterr() == ("", "")


def test_a_caller_that_gets_no_thread_is_told_of_by_kind(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller is hung up on, nothing is printed, and the next one is served."""
    heard: list[str] = []

    def no_thread(_thread: threading.Thread) -> None:
        raise RuntimeError(CARD)

    with serving(tmp_path / "door.sock", ANSWERS, failed=heard.append) as path:
        with monkeypatch.context() as short:
            short.setattr(threading.Thread, "start", no_thread)
            with pytest.raises(NotAnsweringError):
                ask(path, Line("status"), timeout_s=LIMIT_S)
        assert ask(path, Line("status"), timeout_s=LIMIT_S)
    assert heard == ["RuntimeError"]
    assert capfd.readouterr() == ("", "")


def test_other_threads_files_keep_their_mode(tmp_path: Path) -> None:
    """A umask is the whole process's: what another thread makes meanwhile has its own mode."""
    begun, ended = threading.Event(), threading.Event()
    modes: set[int] = set()

    def make_files() -> None:
        for number in count():
            file = tmp_path / str(number)
            file.touch(0o644)
            modes.add(stat.S_IMODE(file.stat().st_mode))
            begun.set()
            if ended.is_set():
                return

    umask = os.umask(0o022)
    try:
        other = threading.Thread(target=make_files)
        other.start()
        begun.wait(LIMIT_S)
        for _ in range(200):
            ControlServer(tmp_path / "door.sock", plain(ANSWERS)).stop()
        ended.set()
        other.join()
    finally:
        os.umask(umask)

    assert modes == {0o644}


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o177])
def test_no_umask_opens_the_socket_to_others(tmp_path: Path, umask: int) -> None:
    """It is made with its mode, not changed to it afterwards, when somebody could be connected."""
    before = os.umask(umask)
    try:
        with serving(tmp_path / "door.sock", ANSWERS) as path:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
    finally:
        os.umask(before)


def _a_file(path: Path) -> None:
    path.write_bytes(b"the installation key")


def _a_link(path: Path) -> None:
    _a_file(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


@pytest.mark.parametrize("put", [_a_file, _a_link, Path.mkdir])
def test_what_is_no_socket_is_not_removed(tmp_path: Path, put: Callable[[Path], None]) -> None:
    """A key that was set wrong costs no other file: it is refused and left as it is."""
    path = tmp_path / "installation.key"
    put(path)
    with pytest.raises(AlreadyExistsError, match=r"installation\.key is no socket; name another"):
        ControlServer(path, plain(ANSWERS))

    assert path.exists()
    assert path.is_dir() or path.read_bytes() == b"the installation key"


def test_what_has_taken_the_sockets_place_is_not_removed(tmp_path: Path) -> None:
    """Stopping removes a socket, and nothing else."""
    with serving(tmp_path / "door.sock", ANSWERS) as path:
        path.unlink()
        _a_file(path)

    assert path.read_bytes() == b"the installation key"


def test_what_a_dead_process_left_is_replaced(tmp_path: Path) -> None:
    """A socket file that nobody listens on, after a SIGKILL."""
    stale = tmp_path / "door.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(stale))
    with pytest.raises(NotAnsweringError):
        ask(stale, Line("status"), timeout_s=LIMIT_S)
    with serving(stale, ANSWERS) as path:
        assert ask(path, Line("status"), timeout_s=LIMIT_S)

    assert not stale.exists()


@pytest.mark.parametrize("there", [False, True], ids=["no file", "a dead socket"])
def test_a_door_that_is_gone_is_told_with_a_hint(tmp_path: Path, there: bool) -> None:
    """What to look at, and no traceback's worth of errno."""
    path = tmp_path / "door.sock"
    if there:
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))

    with pytest.raises(NotRunningError) as caught:
        ask(path, Line("status"), timeout_s=LIMIT_S)
    assert str(caught.value) == (
        f"the door process does not answer on {path}; "
        "is it running? (systemctl status doorctl-door)"
    )


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("no/such/directory/door.sock", "No such file or directory"),
        ("x" * 120, "AF_UNIX path too long"),
    ],
)
def test_a_socket_that_cannot_be_made_is_told(tmp_path: Path, place: str, why: str) -> None:
    """The path and why, for the technician."""
    with pytest.raises(StoreError) as caught:
        ControlServer(tmp_path / place, plain(ANSWERS))

    assert str(caught.value) == f"control socket {tmp_path / place}: {why}"


@pytest.mark.parametrize(("said", "drips"), [(b"SSH-2.0-OpenSSH\n", False), (b" ", True)])
def test_a_peer_that_is_none_holds_nobody(tmp_path: Path, said: bytes, *, drips: bool) -> None:
    """Another program on that path is not taken for the door.

    The limit is for the whole answer: a byte now and then does not begin it anew.

    Bug (stranger's review): a peer that sent a byte now and then held a caller for ever.
    """
    with (
        saying(tmp_path / "door.sock", said, drips=drips) as path,
        pytest.raises(NotAnsweringError),
    ):
        ask(path, Line("status"), timeout_s=0.5 if drips else LIMIT_S)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can ask as somebody else")
def test_the_kernel_says_who_asks(tmp_path: Path) -> None:
    """Root is nobody in particular; anybody else is named, whatever their line says of it."""
    askers: list[str | None] = []

    def answer(question: Line) -> Mapping[str, Any]:
        askers.append(question.asker)
        return {}

    with serving(tmp_path / "door.sock", {"open": answer}) as path:
        ask(path, Line("open", asker="somebody"), timeout_s=LIMIT_S)
        ask_as(NOBODY, path, {"ask": "open"})
        ask_as(NOBODY, path, {"ask": "open", "asker": None})
        ask_as(4711, path, {"ask": "open"})

    assert askers == [None, "nobody", "nobody", "uid 4711"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can work as somebody else")
def test_roots_command_is_roots_though_it_works_as_another_user() -> None:
    """A command works as its directory's owner; what counts is who called it."""
    askers: list[str | None] = []

    def answer(question: Line) -> Mapping[str, Any]:
        askers.append(question.asker)
        return {}

    with tempfile.TemporaryDirectory() as directory:
        os.chown(directory, NOBODY, NOBODY)
        with serving(Path(directory, "door.sock"), {"open": answer}) as path:
            os.chown(path, NOBODY, NOBODY)
            with owner_of(path.parent):
                assert os.geteuid() == NOBODY
                ask(path, Line("open"), timeout_s=LIMIT_S)

    assert askers == [None]
    assert os.geteuid() == 0


@pytest.mark.skipif(os.getuid() != 0, reason="only root can ask as somebody else")
def test_what_is_kept_for_root_is_refused_to_others(tmp_path: Path) -> None:
    """A captured web process does not get what the configuration keeps from it."""
    question = {"ask": "unlock", "about": {"card": "1"}}
    with serving(tmp_path / "door.sock", ANSWERS, kept=frozenset({"unlock"})) as path:
        refused = ask_as(NOBODY, path, question)
        status = ask_as(NOBODY, path, {"ask": "status"})
        answered = ask(path, Line("unlock", {"card": "1"}), timeout_s=LIMIT_S)

    assert refused == {
        "refused": "control.kept_from_web keeps that for root: doorctl as root does it"
    }
    assert status == {"reader": "connected", "released": False}
    assert answered == {"card": "1"}


class Lift(Unshown, frozen=True):
    """What a question is about."""

    number: int
    why: str = ""


LIFT = Question("lift", Lift, Done[int], "web", LIMIT_S, too_long="that is too much; shorten it")


def test_a_call_brings_both_messages_whole(tmp_path: Path) -> None:
    """As they were declared, whoever asks and whatever comes of it."""
    with serving(
        tmp_path / "web.sock", LIFT.answered(lambda about: Done(about.number + 1))
    ) as path:
        assert LIFT.ask(path, Lift(7), timeout_s=LIMIT_S).done == 8


@pytest.mark.parametrize("about", [{}, {"number": CARD}, {"number": 7, CARD: 1}, {"why": 7}])
def test_a_call_that_is_not_complete_does_nothing(tmp_path: Path, about: dict[str, Any]) -> None:
    """A field that is missing, of another type or not known is told without being quoted."""
    done: list[Lift] = []

    def work(about: Lift) -> Done[int]:
        done.append(about)
        return Done(0)

    with (
        serving(tmp_path / "web.sock", LIFT.answered(work)) as path,
        pytest.raises(StoreError, match="that question is not complete"),
    ):
        ask(path, Line("lift", about), timeout_s=LIMIT_S)

    assert done == []


@pytest.mark.parametrize("answer", [{}, {"done": CARD}, {"done": None}])
def test_a_reply_of_another_version_is_told(tmp_path: Path, answer: dict[str, Any]) -> None:
    """After an upgrade one process may run before the other: half an answer is none."""
    with (
        serving(tmp_path / "web.sock", {"lift": lambda _question: answer}) as path,
        pytest.raises(StoreError, match="the web process is of another version; restart it"),
    ):
        LIFT.ask(path, Lift(7), timeout_s=LIMIT_S)


def test_a_call_that_does_not_fit_is_not_asked(tmp_path: Path) -> None:
    """By one clear line, and not by half a question."""
    with pytest.raises(InputError, match="that is too much; shorten it"):
        LIFT.ask(tmp_path / "nobody", Lift(7, "x" * LINE_LIMIT), timeout_s=LIMIT_S)


def test_a_call_shows_nothing_of_what_it_is_about() -> None:
    """Neither the message nor the question can be printed."""
    shown = f"{Lift(7, CARD)!r} {Line('lift', {'why': CARD})!r}"

    assert CARD not in shown
