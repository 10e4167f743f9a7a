"""An export over SFTP, by OpenSSH's own program ``sftp`` in batch mode (sftp(1), ssh_config(5)).

With one key, one file of known hosts that nothing is added to, and no configuration of a user or a
machine. The program writes into the file that we opened, by its descriptor, so that it makes none.
Nothing that the other machine says is repeated: ssh's own words are looked for in it.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from tempfile import TemporaryFile

from doorctl.core.errors import FetchAwayError, FetchError, KeyFileError
from doorctl.core.ports import Clock
from doorctl.extras.fetching import Fetch
from doorctl.extras.fetching.pages import wrong
from doorctl.extras.fetching.place import Aside
from doorctl.sync.exports import FULL, OTHER_SUFFIXES

LOOK_S = 0.1
"""Between two looks at how far the program is."""

CONNECT_S = 15

LONGEST_ANSWER_BYTES = 1024 * 1024
"""A folder of ten thousand names."""

ECHOES = ("sftp> ", "Fetching ")
"""How lines of the program begin that answer nothing."""

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")

FULL_DISK = os.strerror(errno.ENOSPC)

SIZE_COLUMN = 4
"""Of a line as ``ls -ln`` writes it."""

CHANGED = (
    "its host key is another one than before; find out why, and only then put the new one into "
    "source.fetch.sftp.known_hosts_file"
)

NEVER = (
    ("REMOTE HOST IDENTIFICATION HAS CHANGED", CHANGED),
    ("Host key verification failed", "its host key is not in source.fetch.sftp.known_hosts_file"),
    ("UNPROTECTED PRIVATE KEY FILE", "others can read source.fetch.sftp.key_file; chmod 600 it"),
    ("Load key", "source.fetch.sftp.key_file is no private key without a password"),
    ("Permission denied (", "it does not accept source.fetch.sftp.key_file for that user"),
    (": Permission denied", "its user may not read source.fetch.sftp.path"),
    ("not found", "nothing is at source.fetch.sftp.path"),
    ("No such file", "nothing is at source.fetch.sftp.path"),
    ("not a regular file", "source.fetch.sftp.path is a folder; give a / at its end"),
)
"""ssh's and sftp's own words -> what they mean, and what no later run changes by itself."""

LATER = (
    ("Connection refused", "no connection (Connection refused)"),
    ("timed out", "it does not answer in time"),
    ("Could not resolve", "its name is not known"),
    ("No route to host", "no connection (No route to host)"),
)


def fetch_over_sftp(fetch: Fetch, clock: Clock, aside: Aside) -> str:
    """Fetch the file that `fetch` names into `aside`, with its time; return its path there.

    Raises FetchError, FetchAwayError: it did not come, or not whole; KeyFileError: a file of keys
    is not there; StoreError: the disk failed.
    """
    return _Session(fetch, clock, aside).run()


@dataclass(eq=False, slots=True)
class _Session:
    fetch: Fetch
    clock: Clock
    aside: Aside
    ends_s: float = field(init=False)

    def __post_init__(self) -> None:
        self.ends_s = self.clock.monotonic_s() + 60.0 * self.fetch.limit_min
        for path in (self.fetch.sftp.key_file, self.fetch.sftp.known_hosts_file):
            # ssh itself asks for a key that is missing, or does without.
            if not os.access(path, os.R_OK, effective_ids=True):
                raise KeyFileError(f"{path} can't be read; see source.fetch.sftp")
            if re.search(r"[%\"~\\$]", str(path)):
                raise KeyFileError(f"{path}: ssh takes no quote, ~, $ or % in a path; rename it")

    def run(self) -> str:
        path = self.fetch.sftp.path
        if path.endswith("/"):
            path += self._newest(self._talk(f'ls -1 "{path}"'))
        target = f"/proc/self/fd/{self.aside.descriptor}"
        look = f'ls -ln "{path}"'
        before, after = self._talk(look, f'get -p "{path}" "{target}"', look)
        os.fchmod(self.aside.descriptor, 0o600)
        came = os.fstat(self.aside.descriptor).st_size
        self.aside.refuse_more_than(came)
        if before != after or before.split()[SIZE_COLUMN : SIZE_COLUMN + 1] != [str(came)]:
            raise FetchAwayError(
                "the export was not fetched: it was written while it came, or came in part; "
                "the next run tries again"
            )
        if not came:
            raise wrong("the file is empty")
        return path

    def _newest(self, lines: Sequence[str]) -> str:
        names = [PurePosixPath(line).name for line in lines]
        full = [
            name
            for name in names
            if NAME.fullmatch(name)
            and Path(name).suffix.lower() in OTHER_SUFFIXES
            and Path(name).stem.lower().endswith(FULL)
        ]
        if not full:
            raise wrong(f"source.fetch.sftp.path has no file whose name ends in {FULL}.csv or so")
        return max(full)

    def _talk(self, *commands: str) -> list[str]:
        """Run the program with these commands; return the lines that it printed for them."""
        program = shutil.which("sftp")
        if program is None:
            raise FetchError("the program sftp is not there: apt install openssh-client")
        batch = "".join(f"{command}\n" for command in commands).encode()
        with ExitStack() as stack:
            read, written, said = (stack.enter_context(TemporaryFile()) for _ in range(3))
            read.write(batch)
            read.seek(0)
            process = subprocess.Popen(  # noqa: S603 - no shell, and no word of another machine
                [program, *_options(self.fetch)],
                stdin=read,
                stdout=written,
                stderr=said,
                env={"PATH": os.defpath, "LC_ALL": "C", "HOME": "/nonexistent"},
                cwd="/",
                pass_fds=(self.aside.descriptor,),
                start_new_session=True,
            )
            try:
                self._wait(process)
            finally:
                _end(process)
            said.seek(0)
            written.seek(0)
            if process.returncode:
                raise self._failure(said.read(LONGEST_ANSWER_BYTES).decode("latin-1"))
            lines = written.read(LONGEST_ANSWER_BYTES).decode("utf-8", "replace").splitlines()
        return [line for line in lines if not line.startswith(ECHOES)]

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        """Wait for the program's end, as long as bytes come, and not too many."""
        size, since_s = -1, self.clock.monotonic_s()
        while True:
            with suppress(subprocess.TimeoutExpired):
                process.wait(LOOK_S)
                return
            now_s, came = self.clock.monotonic_s(), os.fstat(self.aside.descriptor).st_size
            self.aside.refuse_more_than(came)
            if came != size:
                size, since_s = came, now_s
            if now_s > self.ends_s or now_s - since_s > self.fetch.silence_s:
                raise FetchAwayError("the export was not fetched: it does not answer in time")

    def _failure(self, said: str) -> Exception:
        if FULL_DISK in said:
            return self.aside.unwritten(FULL_DISK)
        for words, meaning in NEVER:
            if words in said:
                return wrong(meaning)
        for words, meaning in LATER:
            if words in said:
                return FetchAwayError(f"the export was not fetched: {meaning}")
        return FetchAwayError("the export was not fetched: sftp ended before its end")


def _options(fetch: Fetch) -> list[str]:
    sftp = fetch.sftp
    settings = {
        "BatchMode": "yes",
        "ClearAllForwardings": "yes",
        "ConnectTimeout": str(CONNECT_S),
        "GlobalKnownHostsFile": "none",
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "LogLevel": "ERROR",
        "PreferredAuthentications": "publickey",
        "ServerAliveCountMax": "2",
        "ServerAliveInterval": str(max(1, int(fetch.silence_s / 3))),
        "StrictHostKeyChecking": "yes",
        "UpdateHostKeys": "no",
        "User": sftp.user,
        "IdentityFile": f'"{sftp.key_file}"',
        "UserKnownHostsFile": f'"{sftp.known_hosts_file}"',
    }
    options = [f"-o{name}={value}" for name, value in settings.items()]
    host = f"[{sftp.host}]" if ":" in sftp.host else sftp.host
    return [
        *("-b", "-", "-F", "none", "-P", str(sftp.port)),
        *options,
        host,
    ]


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the program and its ssh, if they are still there."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
