"""What branches have said of themselves, as a hub holds it: the newest of each, in memory alone.

The last values lie at the NATS server too, so a hub that begins anew reads them there, and two hubs
run side by side. What a server carries is believed only if the branch that it is of has signed it.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Final

from nats import errors

from doorctl.config.tables import ID
from doorctl.core.errors import KeyFileError
from doorctl.extras.fleet.keeping import ANSWER_S, KeptConnection, Use
from doorctl.extras.fleet.messages import UP, reading, up_of
from doorctl.extras.fleet.reports import AT, PARTS, NightCounts, Report, Status, read_report
from doorctl.store.signing_keys import read_public_keys

if TYPE_CHECKING:
    from pathlib import Path

    from nats.aio.client import Client
    from nats.aio.msg import Msg

    from doorctl.core.ports import Clock, EventLog
    from doorctl.extras.fleet import WebHub
    from doorctl.sync.signing import VerifyKey

SILENT_AFTER: Final = timedelta(minutes=15)
"""A branch says something every five minutes."""

APART: Final = timedelta(minutes=5)
"""A report may be that much later than the hub's own clock."""

AT_A_TIME: Final = 32
"""Last values that are asked of the server at once."""

MOST_BRANCHES: Final = 5000

REFUSED_SUBJECT: Final = "the NATS server does not let this hub listen; see doorctl nats-config"

_KEY_FILE = re.compile(rf"{ID}\.pub")

Keys = Mapping[str, "VerifyKey | None"]
"""Branch -> its public key; None where its file can't be used."""


class Doubt(Enum):
    """Why what came last in a branch's name was not believed."""

    SIGNATURE = "signature"
    CLOCK = "clock"
    """It was later than the hub's own clock."""
    KEY = "key"
    """The branch's key can't be used, and so nothing is believed."""


@dataclass(frozen=True, slots=True)
class BranchHeard:
    """What a hub knows of a branch; `doubt` is None once something newer was believed."""

    branch: str
    status: Status | None = None
    night: NightCounts | None = None
    at: datetime | None = None
    doubt: Doubt | None = None

    def silent(self, now: datetime) -> bool:
        """Tell whether the branch should have said something since; both times are aware."""
        return self.at is None or now - self.at > SILENT_AFTER


def keys_in(directory: Path) -> Keys:
    """Return the keys of a directory's files, ``oest.pub`` that of oest.

    Raises KeyFileError: there is no such directory, or it can't be read.
    """
    return {path.stem: _key_in(path) for path in _key_files(directory)}


def _key_files(directory: Path) -> list[Path]:
    try:
        files = sorted(path for path in directory.iterdir() if _KEY_FILE.fullmatch(path.name))
    except OSError as error:
        why = f"{directory}: {error.strerror}; put each branch's key there, as oest.pub"
        raise KeyFileError(why) from error
    return files[:MOST_BRANCHES]


def _written(path: Path) -> tuple[object, ...]:
    """Return what differs where a file was written anew."""
    with suppress(OSError):
        found = path.stat()
        return path.name, found.st_ino, found.st_mtime_ns, found.st_size
    return (path.name,)


def _key_in(path: Path) -> VerifyKey | None:
    with suppress(KeyFileError):
        return read_public_keys([path])[0]
    return None


class Reports:
    """The newest report of each part and branch that is known; thread-safe."""

    def __init__(self) -> None:
        self._keys: Keys = {}
        self._newest: dict[tuple[str, str], Report] = {}
        self._doubts: dict[str, Doubt] = {}
        self._guard = threading.Lock()

    def know(self, keys: Keys) -> None:
        """Take reports of these branches alone, and forget what another key has signed."""
        with self._guard:
            changed = {
                branch
                for branch, key in self._keys.items()
                if _content(key) != _content(keys.get(branch))
            }
            self._keys = dict(keys)
            for branch, name in list(self._newest):
                if branch in changed:
                    del self._newest[branch, name]
            for branch in changed:
                self._doubts.pop(branch, None)

    def take(
        self,
        branch: str,
        name: str,
        headers: Mapping[str, str] | None,
        body: bytes,
        now: datetime,
    ) -> None:
        """Hold a report that came, if it is that branch's and newer than what is held.

        `now` is UTC. What has no time is none: a server's own answer that there is nothing.
        """
        with self._guard:
            key = self._keys.get(branch)
            if key is None or AT not in (headers or {}):
                return
            report = read_report(branch, name, headers, body, key)
            held = self._newest.get((branch, name))
            if report is None:
                self._doubts[branch] = Doubt.SIGNATURE
            elif report.at > now + APART:
                self._doubts[branch] = Doubt.CLOCK
            elif held is None or report.at > held.at:
                self._newest[branch, name] = report
                self._doubts.pop(branch, None)

    def branches(self) -> tuple[BranchHeard, ...]:
        """Return what is known of each branch, by its id."""
        with self._guard:
            return tuple(self._heard(branch, key) for branch, key in sorted(self._keys.items()))

    def _heard(self, branch: str, key: VerifyKey | None) -> BranchHeard:
        heard = BranchHeard(branch, doubt=self._doubts.get(branch) if key else Doubt.KEY)
        for name in PARTS:
            report = self._newest.get((branch, name))
            if report is None:
                continue
            at = report.at if heard.at is None else max(heard.at, report.at)
            if isinstance(report.part, Status):
                heard = replace(heard, status=report.part, at=at)
            else:
                heard = replace(heard, night=report.part, at=at)
        return heard


def _content(key: VerifyKey | None) -> bytes:
    return b"" if key is None else key.content


class Hub:
    """Hears all branches by one `connection`, which it keeps."""

    def __init__(self, hub: WebHub, clock: Clock, log: EventLog) -> None:
        self.reports = Reports()
        self._directory, self._clock = hub.keys_directory, clock
        self._files: frozenset[tuple[object, ...]] | None = None
        use = Use(
            table="web.hub",
            name=hub.id,
            alarm="hub_lost",
            refused=REFUSED_SUBJECT,
            begin=self._listen,
            go_on=self._read_last,
        )
        self.connection = KeptConnection(hub, use, clock, log)

    def look(self) -> str:
        """Read again which branches there are, where a file has changed; return why it can't be.

        From any thread.
        """
        try:
            self._read_keys()
        except KeyFileError as error:
            return str(error)
        return ""

    def _read_keys(self) -> None:
        files = frozenset(_written(path) for path in _key_files(self._directory))
        if files != self._files:
            self.reports.know(keys_in(self._directory))
            self._files = files

    async def _listen(self, client: Client) -> None:
        self._read_keys()

        async def hear(message: Msg) -> None:
            _, _, branch, name = message.subject.split(".")
            self._take(branch, name, message)

        await client.subscribe(up_of("*", "*"), cb=hear)

    async def _read_last(self, client: Client) -> None:
        """Read what lies at the server."""
        turns = asyncio.Semaphore(AT_A_TIME)

        async def read(branch: str, name: str) -> None:
            async with turns:
                last = await client.request(reading(UP, up_of(branch, name)), b"", timeout=ANSWER_S)
                self._take(branch, name, last)

        # A server without that stream has none: each branch says all again within minutes.
        with suppress(errors.NoRespondersError, errors.TimeoutError):
            heard = [(each.branch, name) for each in self.reports.branches() for name in PARTS]
            await asyncio.gather(*(read(branch, name) for branch, name in heard))

    def _take(self, branch: str, name: str, message: Msg) -> None:
        now = self._clock.moment().known_time.astimezone(UTC)
        self.reports.take(branch, name, message.headers, message.data, now)
