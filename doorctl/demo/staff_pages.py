"""The staff pages beside the demo: the real ``doorctl web`` as a process of its own."""

from __future__ import annotations

import json
import subprocess
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import IO

from doorctl.demo import tether
from doorctl.demo.sight import Window
from doorctl.demo.stage import LIMIT_S, Stage
from doorctl.web.serving import listen

HOST = "127.0.0.1"


class StaffPages:
    """Start and stop them; the window tells when they are there. One thread.

    Args:
        stage: the branch whose pages they are.
        window: is told of their port, or why there are none.
    """

    def __init__(self, stage: Stage, window: Window) -> None:
        self._stage = stage
        self._window = window
        self._errors = stage.directory / "web.stderr"
        self.port = _free_port()
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start them and wait for nothing."""
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
