"""Puts another release of doorctl into use, on trial, and goes back where it does not stand it.

Releases lie side by side in ``releases``; the link ``current`` names the one in use. What is begun
stands in ``upgrade.json`` before each step, so that the next run ends what a killed one began. What
door and web have left in their own folders holds nothing of it up.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import syslog
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from threading import Event

import msgspec

from doorctl.config import Config
from doorctl.core.errors import (
    DoorctlError,
    InputError,
    NotAnsweringError,
    OtherReleaseError,
    StoreDamagedError,
)
from doorctl.core.identity import owner_of
from doorctl.lookup.configured import system_clock
from doorctl.ops.machine import NOT_BEGUN
from doorctl.rpc.question import Nothing
from doorctl.rpc.status import SELF_TEST
from doorctl.store import branch_rows, patrons
from doorctl.store.connection import sync_directory, translated, write_over
from doorctl.store.kept import FOLDER, KeptDatabases, clear_way, drop_beside, remove_made
from doorctl.store.reader import WatchedReader
from doorctl.store.tables import rehearse
from doorctl.store.writer import Writer

DOOR, WEB = "doorctl-door.service", "doorctl-web.service"
ALARM = "doorctl-alarm@upgrade_taken_back.service"
SYSTEM_UNITS = Path("/usr/lib/systemd/system")
TRIAL_S = 60.0
"""How long a release may take to be ready and to pass its self-test; one that is well takes 3 s."""

MOST_RESTARTS = 3
"""By systemd, in a trial: no patron is let in while a release keeps ending."""

LOOK_S = 0.2
TEST_LIMIT_S = 30.0

GROWS = {
    "visits.db": ("visits", "SELECT coalesce(max(attempt), 0) FROM attempts"),
    "branch.db": ("entries of the audit log", "SELECT coalesce(max(number), 0) FROM audit"),
    "patrons.db": ("pushes (they are sent again)", "SELECT coalesce(max(epoch), 0) FROM cache"),
}
"""What a way back costs where the new release has laid a file out anew, and how it is counted."""

LAYOUTS = {"branch.db": branch_rows.migrations, "patrons.db": patrons.migrations}

MOST_CHARACTERS = 1000
"""Of the line that tells a way back; the door that failed may have worded some of it."""


class UpgradeError(DoorctlError):
    """The new release's: it did not stand its trial, so the one before is in use."""


class Step(Enum):
    """How far an upgrade had come when its state was written."""

    KEEPING = "keeping"
    TRYING = "trying"
    STANDING = "standing"
    RETURNING = "returning"


@dataclass(frozen=True)
class Begun:
    """An upgrade under way: the releases' names, the units that ran, and what to go back to.

    Of `unkept` there is no copy: such a database was not there, or was none.
    """

    old: str
    new: str
    units: tuple[str, ...]
    databases: tuple[Path, ...]
    config_file: Path
    config: str
    unkept: tuple[Path, ...] = ()
    step: Step = Step.KEEPING


class Releases:
    """The releases of ``home``, which is ``/opt/doorctl``; for root.

    One process at a time has them: others wait for its end.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        fcntl.flock(os.open(home, os.O_RDONLY | os.O_CLOEXEC), fcntl.LOCK_EX)
        self._state = home / "upgrade.json"
        self._kept = KeptDatabases(home / FOLDER)
        self._told: list[str] = []

    @classmethod
    def of_this_program(cls) -> Releases:
        """Return those that this program is one of; InputError: it is none, as in a checkout."""
        releases = Path(sys.prefix).parent
        if releases.name != "releases":
            raise InputError("this doorctl is not the package's; upgrade it as it was installed")
        return cls(releases.parent)

    def use(self, new: str, config_file: Path, read: Callable[[], Config]) -> list[str]:
        """Put a release into use, on trial where the door runs; `read` returns the configuration.

        Returns a line about each thing that stood in the way. Raises DoorctlError: there is no such
        release, or the one before is in use.
        """
        self.resume()
        there = sorted(path.name for path in (self._home / "releases").iterdir())
        if new not in there:
            raise InputError(f"there is no such release; there are: {', '.join(there)}")
        units = tuple(filter(_runs, (DOOR, WEB)))
        if DOOR not in units:
            self._link(new)
            self._begin()
            _systemctl("try-restart", WEB)
            return []
        config, old = read(), (self._home / "current").readlink().name
        storage = config.storage
        databases = (storage.branch_db, storage.patrons_db, storage.visits_db)
        text = config_file.read_text(encoding="utf-8")
        begun = Begun(old, new, units, databases, config_file.absolute(), text)
        begun, fault = self._try(begun, config)
        if fault is not None:
            raise self._return(begun, fault)
        self._forget(begun)
        for line in self._told:
            syslog.syslog(syslog.LOG_WARNING, f"doorctl: {line}")
        return self._told

    def _try(self, begun: Begun, config: Config) -> tuple[Begun, str | None]:
        """Have the new release run; return how far that came, and its fault, if any."""
        # What was not ready before need not be afterwards: a release may come to mend just that.
        tried = tuple(unit for unit in begun.units if unit == DOOR or _is_ready(unit))
        before: frozenset[str] = frozenset()
        with suppress(DoorctlError):
            before = _failing(config)
        try:
            begun = self._note(begun, Step.KEEPING)
            self._begin()
            begun = self._keep(begun)
            begun = self._note(begun, Step.TRYING)
            self._link(begun.new)
            _lay_out(begun)
            _start(begun.units)
            return begun, _tried(config, tried, before)
        except (DoorctlError, OSError) as err:
            return begun, str(err)

    def resume(self) -> None:
        """End what a killed run left: nothing, or a release that works.

        Raises UpgradeError: a trial was cut short, and the release before is in use.
        """
        try:
            begun = self._begun()
        except FileNotFoundError:
            # A release up to 0.2 that ends an upgrade to this one knows of no such folder.
            self._kept.drop()
            return
        if begun.step is Step.TRYING:
            raise self._return(begun, "its trial was cut short")
        if begun.step is Step.RETURNING:
            raise self._return(begun, "the way back was not whole")
        # Started first: without the state file, what has to be started is unknown.
        _start(begun.units)
        self._forget(begun)

    def _begun(self) -> Begun:
        state = self._state.read_bytes()
        try:
            return msgspec.json.decode(state, type=Begun, dec_hook=lambda kind, text: kind(text))
        except msgspec.MsgspecError as err:
            aside = self._state.replace(self._state.with_name("upgrade.json.damaged"))
            raise UpgradeError(
                f"{aside} can't be read ({err}), so it is not known what was under way; look which "
                f"release runs, and start {DOOR} and {WEB} if they don't"
            ) from None

    def _begin(self) -> None:
        # From here on another alarm says what becomes of it.
        (self._home / NOT_BEGUN).unlink(missing_ok=True)

    def _keep(self, begun: Begun) -> Begun:
        """Stop the units and keep what they wrote; return what there is no copy of."""
        unkept = []
        # The door decides on while web is down, and its own file is small.
        for unit, of_door in ((WEB, False), (DOOR, True)):
            _systemctl("stop", unit)
            mine = [path for path in begun.databases if (path.name == "visits.db") == of_door]
            self._clear_way(mine)
            for path in mine:
                try:
                    if path.exists():
                        self._kept.keep(path)
                        continue
                except StoreDamagedError as err:
                    self._told.append(f"{err}; of this there is no copy")
                unkept.append(path)
        return replace(begun, unkept=tuple(unkept))

    def _clear_way(self, databases: Collection[Path]) -> None:
        for directory in dict.fromkeys(path.parent for path in databases):
            self._told += clear_way(directory)

    def _return(self, begun: Begun, fault: str) -> UpgradeError:
        """Have the release before run on its own files; return what to say of it."""
        lost: list[str] = []
        failed: list[str] = []
        _systemctl("stop", *begun.units)
        if begun.step is not Step.KEEPING:
            with _noting(failed):
                begun = self._note(begun, Step.RETURNING)
            self._clear_way(begun.databases)
            for path in begun.databases:
                with _noting(failed):
                    lost += self._put_back(path, begun)
        with _noting(failed):
            self._link(begun.old)
            if begun.config_file.read_text(encoding="utf-8") != begun.config:
                write_over(begun.config_file, begun.config.encode(), keep=True)
                lost.append(f"a change of {begun.config_file.name}")
            for unit in (self._home / "releases" / begun.old / "systemd").glob("*"):
                write_over(SYSTEM_UNITS / unit.name, unit.read_bytes(), mode=0o644)
        _systemctl("daemon-reload")
        _start(begun.units)
        if not failed:
            # Else the next run tries what is left.
            with _noting(failed):
                self._forget(begun)
        costs = f"of the trial is lost: {', '.join(lost)}" if lost else "nothing is lost"
        said = (f"release {begun.new} was not taken into use: {fault}", f"{begun.old} runs", costs)
        return self._tell((*said, *failed, *self._told))

    def _put_back(self, path: Path, begun: Begun) -> list[str]:
        what, counting = GROWS[path.name]
        put = remove_made if path in begun.unkept else self._kept.put_back
        count = put(path, counting)
        return [f"{count} {what}"] if count else []

    def _tell(self, said: Iterable[str]) -> UpgradeError:
        text = "".join(letter if letter.isprintable() else " " for letter in "; ".join(said))
        text = text[:MOST_CHARACTERS]
        syslog.syslog(syslog.LOG_ERR, f"doorctl: {text}")
        _systemctl("start", "--no-block", ALARM)
        return UpgradeError(text)

    def _forget(self, begun: Begun) -> None:
        try:
            # First, or a run that is killed while it deletes copies would look for them for ever.
            self._note(begun, Step.STANDING)
        except OSError:
            # On a full disk: to remove a name takes no room.
            self._state.unlink(missing_ok=True)
        self._kept.drop()
        for directory in dict.fromkeys(path.parent for path in begun.databases):
            drop_beside(directory)
        self._state.unlink(missing_ok=True)
        sync_directory(self._home)

    def _note(self, begun: Begun, step: Step) -> Begun:
        begun = replace(begun, step=step)
        write_over(self._state, msgspec.json.encode(begun, enc_hook=str))
        return begun

    def _link(self, release: str) -> None:
        new = self._home / "current.new"
        new.unlink(missing_ok=True)
        new.symlink_to(Path("releases") / release)
        new.replace(self._home / "current")
        sync_directory(self._home)


@contextmanager
def _noting(failed: list[str]) -> Iterator[None]:
    """Run a step of the way back; one that fails is noted, and the next ones follow."""
    try:
        yield
    except (DoorctlError, OSError) as err:
        failed.append(str(err))


def _lay_out(begun: Begun) -> None:
    """Bring web's files to the new layout, as web would.

    A door that is ready before them lets no patron in meanwhile. A file that has the new layout is
    not written: the disk may be full.
    """
    for path in begun.databases:
        if path.name in LAYOUTS and path not in begun.unkept:
            with owner_of(path.parent), translated(path):
                if _is_due(path):
                    with closing(Writer(path, LAYOUTS[path.name])) as laid:
                        rehearse(laid.database, path.name)


def _is_due(path: Path) -> bool:
    with closing(WatchedReader(path, "nothing is lost")) as reader:
        return not LAYOUTS[path.name].fits(reader.current())


def _systemctl(*words: str) -> bool:
    return subprocess.run(("systemctl", *words), check=False).returncode == 0  # noqa: S603, S607 - root's own PATH


def _shown(unit: str, *properties: str) -> dict[str, str]:
    """Return those of a unit's properties that are set."""
    words = ("systemctl", "show", f"--property={','.join(properties)}", unit)
    shown = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False).stdout  # noqa: S603 - root's own PATH
    return dict(line.split("=", 1) for line in shown.splitlines() if not line.endswith("="))


def _runs(unit: str) -> bool:
    """Return whether a unit runs or is to: systemd starts one anew seconds after its process died.

    One that waits to be started, as web does for the door, has a job.
    """
    shown = _shown(unit, "ActiveState", "Job")
    return "Job" in shown or shown.get("ActiveState", "inactive") not in {"inactive", "failed"}


def _is_ready(unit: str) -> bool:
    return _systemctl("is-active", "--quiet", unit)


def _start(units: tuple[str, ...]) -> None:
    # Waiting would be for ever where systemd, at a boot, lets this run before them.
    _systemctl("start", "--no-block", *units)


def _tried(config: Config, units: tuple[str, ...], before: frozenset[str]) -> str | None:
    """Return why a release does not stand its trial; None as soon as it does."""
    now_s = system_clock(config).monotonic_s
    until_s = now_s() + TRIAL_S
    while (fault := _fault(config, units, before)) is not None and now_s() < until_s:
        if dying := next(filter(_keeps_ending, units), None):
            return f"{dying} ends again and again"
        Event().wait(LOOK_S)
    return fault


def _keeps_ending(unit: str) -> bool:
    restarts = _shown(unit, "NRestarts").get("NRestarts", "")
    return restarts.isdecimal() and int(restarts) >= MOST_RESTARTS


def _fault(config: Config, units: tuple[str, ...], before: frozenset[str]) -> str | None:
    for unit in units:
        if not _is_ready(unit):
            return f"{unit} is not ready"
    try:
        failing = _failing(config) - before
    except DoorctlError as err:
        return str(err)
    return f"its self-test fails: {', '.join(sorted(failing))}" if failing else None


def _failing(config: Config) -> frozenset[str]:
    """Return the checks of the door's self-test that fail; by these no release is judged.

    Raises DoorctlError: it can't be asked, or answers what is no self-test.
    """
    try:
        test = SELF_TEST.ask(config.control.socket, Nothing())
    except OtherReleaseError:
        raise NotAnsweringError("the door's self-test answers what can't be understood") from None
    return frozenset(finding.check for finding in test.findings if not finding.ok)
