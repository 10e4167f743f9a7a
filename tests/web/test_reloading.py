"""SIGHUP at a real web process: it goes by the file as it is now, and refuses nobody meanwhile."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from queue import SimpleQueue

import httpx2
import pytest

from doorctl.config import load
from doorctl.config.shipped import shipped
from doorctl.wiring.web import _Process
from tests.fakes.event_log import FakeEventLog, Field
from tests.sources.http_server import Script, serving
from tests.web.branch import Branch, answer_of, rows
from tests.web.certificates import Authority
from tests.web.conftest import Branches

RELOADS = 5


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a copy of the demo's configuration."""
    own = tmp_path / "demo.toml"
    own.write_bytes(shipped("demo.toml").read_bytes())
    return own


@pytest.fixture
def branch(branches: Branches, file: Path) -> Branch:
    """Give a web process that was started with that file."""
    found = branches()
    found.stage.options[0] = f"--config={file}"
    found.start()
    return found


def reload(branch: Branch, file: Path, change: Callable[[str], str]) -> None:
    """Change the file and have it read again, as `systemctl reload` does."""
    file.write_text(change(file.read_text()))
    branch.send(signal.SIGHUP)


def with_closing(text: str, warn: str = "[5]") -> str:
    """Return the file with other warnings before closing."""
    return f"{text.partition('[closing]')[0]}[closing]\nwarn_min = {warn}\n"


def test_what_is_safe_is_taken_and_the_rest_named(branch: Branch, file: Path) -> None:
    """The process stays the same one, and so does what it holds."""
    branch.fill(3)
    epoch = branch.held()["epoch"]
    reload(
        branch, file, lambda text: with_closing(text).replace("iterations = 1", "iterations = 2")
    )

    restart = branch.wait_for("config", state="restart_needed")["why"]
    assert branch.wait_for("config", state="taken")["why"] == "closing.warn_min"
    assert "seal.iterations" in restart
    assert branch.held()["epoch"] == epoch
    branch.fill(4)
    assert len([line for line in branch.lines if line["event"] == "ready"]) == 1
    assert branch.end() == 0


def test_a_wrong_file_and_an_equal_one_change_nothing(branch: Branch, file: Path) -> None:
    """One line says so; nothing is built anew, so a connection that is open stays open."""
    connection = branch.hanging(b"{", 0)
    right = file.read_text()
    reload(branch, file, lambda text: with_closing(text, "[0]"))
    assert "closing.warn_min" in branch.wait_for("config", state="refused")["why"]
    reload(branch, file, lambda _text: right)
    assert "nothing" in branch.wait_for("config", state="taken")["why"]

    assert answer_of(connection).startswith(b"HTTP/1.1 408")


def test_nobody_is_refused_meanwhile(branch: Branch, file: Path) -> None:
    """Whoever connects while it is built anew waits and is answered.

    Whose connection was there just before, with nothing said on it yet, may be cut, once a reload.
    """
    answers: list[int] = []
    cut: list[httpx2.TransportError] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            try:
                answers.append(branch.ask("GET", "/v1/patrons/epoch").status_code)
            except httpx2.TransportError as err:
                cut.append(err)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for minutes in range(1, RELOADS + 1):
            reload(branch, file, partial(with_closing, warn=f"[{minutes}]"))
            branch.wait_for("config", state="taken")
    finally:
        over.set()
        asking.join()
    assert set(answers) == {200}
    assert len(cut) <= RELOADS
    assert not [err for err in cut if isinstance(err, httpx2.ConnectError)]


def test_a_stop_in_the_middle_of_it_is_heard(branch: Branch, file: Path) -> None:
    """SIGTERM on the heels of SIGHUP ends the process."""
    reload(branch, file, with_closing)
    time.sleep(0.15)

    assert branch.end() == 0


def test_a_key_that_can_not_be_read_any_more_ends_nothing(
    branches: Branches, file: Path, authority: Authority
) -> None:
    """The new configuration is refused by name, and taken once the file is back.

    Bug (read by a stranger): a reload ended web where a certificate or a key had changed, or
    could not be read any more, since the start.
    """
    branch = branches(*authority.settings())
    branch.scheme, branch.tls = "https", authority.client(authority.issue("sender"))
    branch.stage.options[0] = f"--config={file}"
    branch.start()
    wrong, tls = file.read_bytes(), branch.config.web.tls
    certificate = tls.certificate_file
    for number, path in enumerate(
        (certificate, tls.key_file, authority.path, branch.directory / "push.pub")
    ):
        right = path.read_bytes()
        path.unlink()
        if path in {certificate, authority.path}:
            path.write_bytes(wrong)
        reload(branch, file, partial(with_closing, warn=f"[{number + 5}]"))
        why = branch.wait_for("config", state="refused")["why"]
        assert why.startswith("nothing was changed: ")
        assert "web.tls" in why or str(path) in why
        assert "epoch" in branch.held()
        path.write_bytes(right)
        branch.send(signal.SIGHUP)
        assert branch.wait_for("config", state="taken")["why"] == "closing.warn_min"
    assert branch.end() == 0


def test_a_notice_that_was_not_sent_yet_is_sent_after_a_reload(
    branches: Branches, file: Path, tmp_path: Path
) -> None:
    """At once, however long it would have waited: the reload may have mended its way.

    Bug (read by a stranger): a reload of web threw away the notices that waited for their way
    to work again, and what had been sent already no longer counted by the ration.
    """
    (secret := tmp_path / "secret").write_text("a-shared-Secret~1")
    secret.chmod(0o600)
    branch, hook, at_work = branches(), Script(status=503), threading.Event()
    with serving(hook) as port:
        webhook = f'[alarms.webhook]\nurl = "http://127.0.0.1:{port}/"\n'
        file.write_text(f'{file.read_text()}{webhook}secret_file = "{secret}"\n')
        branch.stage.options[0] = f"--config={file}"
        branch.start()
        branch.fill(100)
        branch.push(branch.document(rows(10), 2))
        branch.wait_for("alarm", kind="alarm_not_sent")
        hook.status = 200
        before = len(hook.requests)
        reload(branch, file, with_closing)
        branch.wait_for("config", state="taken")
        for _ in range(50):
            at_work.wait(0.1 if len(hook.requests) == before else 0)
        assert branch.end() == 0
    assert any(b"push_guarded" in body for _, _, body, _ in hook.requests[before:])


class _HangUps(SimpleQueue[int]):
    """A terminal that hangs up after each step of a story, and for the last time with 0."""

    def __init__(self, *steps: Callable[[], object]) -> None:
        self._steps: Iterator[Callable[[], object]] = iter(steps)

    def get(self, *_how: object, **_long: object) -> int:
        """Do the next step, and hang up."""
        step = next(self._steps, None)
        if step is not None:
            step()
        return step is not None


def test_a_file_put_back_while_it_is_taken_is_taken_too(file: Path) -> None:
    """The second SIGHUP is read while the first one's configuration begins.

    Bug (read by a stranger): a file that was put back while web was taking it was not taken
    back: web went on by the file that was no more.
    """
    first = file.read_text()
    begun: list[bool] = []

    class Begins(FakeEventLog):
        """A journal; the main thread goes on to the next configuration as it is written."""

        def emit(self, event: str, **fields: Field) -> None:
            """Keep one line, and go on."""
            super().emit(event, **fields)
            if fields["state"] == "restart_needed":
                begun.append(process.begins())

    with ExitStack() as stack:
        log = Begins()
        process = _Process(load(file), {}, log, stack)
        assert process.begins()
        changed = partial(file.write_text, with_closing(first))
        back = partial(
            file.write_text, first.replace("iterations = 1", "iterations = 2") + "[closing]"
        )
        process.heed(_HangUps(changed, back))

        assert begun == [True]
        assert process.config.closing.warn_min == (5,)
        assert process.begins()
    closing, taken = process.config.closing, process.taken
    assert (list(closing.warn_min), taken) == ([15, 10, 5], "closing.warn_min")
