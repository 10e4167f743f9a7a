"""The staff pages beside the demo: the real ``doorctl web`` as a process of its own."""

from __future__ import annotations

import json
import secrets
import subprocess
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import IO

from doorctl.accounts.account import Account, Role
from doorctl.accounts.passwords import Password
from doorctl.config import Config
from doorctl.core.masked import Masked
from doorctl.demo import tether
from doorctl.demo.door import LIMIT_S, Stage
from doorctl.demo.programme import Window
from doorctl.rpc import deeds
from doorctl.services.accounts import AccountsService
from doorctl.services.app import App
from doorctl.services.branch import BranchDesk
from doorctl.web.serving import listen

HOST = "127.0.0.1"


class StaffPages:
    """Start and stop the staff pages; the window shows their port or what is wrong. One thread."""

    def __init__(self, stage: Stage, window: Window) -> None:
        self._stage = stage
        self._window = window
        self._errors = stage.directory / "web.stderr"
        self.port = _free_port()
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start them and return at once."""
        options = ("--set", f"web.host={HOST}", "--set", f"web.port={self.port}")
        with closing(self._errors.open("ab")) as errors:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                [*self._stage.command("web", module=tether.MODULE), *options],
                stdin=tether.tether(),
                stdout=subprocess.PIPE,
                stderr=errors,
                encoding="utf-8",
            )
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        listening = (self._process.stdout,)
        threading.Thread(target=self._listen, args=listening, daemon=True).start()

    def stop(self) -> None:
        """End them; idempotent."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _listen(self, stdout: IO[str]) -> None:
        with stdout:
            for line in stdout:
                if json.loads(line)["event"] == "ready":
                    self._window.change(lambda sight: replace(sight, staff_pages=self.port))
        why = _last_line(self._errors)
        self._window.change(lambda sight: replace(sight, staff_pages=0, hurdle=why))


def _free_port() -> int:
    with closing(listen(HOST, 0)) as listener:
        return int(listener.getsockname()[1])


def _last_line(errors: Path) -> str:
    written = errors.read_text(errors="replace").strip() if errors.exists() else ""
    return written.rsplit("\n", 1)[-1].removeprefix("doorctl: ")


NAME = "demo"
HERE = "127.0.0.1"


def signed_in(config: Config) -> Masked[str]:
    """Make a manager's account and return the token of its session.

    Nobody ever learns the password: the browser is given the session. Works only while nothing
    else writes ``branch.db``.

    Raises:
        StoreError: it could not be stored.
    """
    app = App.of(config)
    password = Password(secrets.token_urlsafe())
    with closing(BranchDesk(app)) as branch:
        branch.open()
        with closing(AccountsService(app, branch)) as accounts:
            hashed = accounts.hashed(password, NAME)
            demo = Account(NAME, "Demo", Role.MANAGER)
            accounts.change(deeds.add_account(demo, hashed), NAME)
            return accounts.signing_in.sign_in(NAME, password, HERE)
