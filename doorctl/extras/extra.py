"""How an extra is hung on the processes and commands; its declaration is a constant `EXTRA`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doorctl.access.messages import LibrarySystem
from doorctl.config import Config
from doorctl.config.extras import Declared, extras_at, find, installed, wanted_by
from doorctl.config.tables import Lms
from doorctl.core.ports import Clock, EventLog

if TYPE_CHECKING:
    # A process loads what it is given of an extra, and no more.
    from asyncio import AbstractEventLoop

    from gpiozero import Factory
    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp

    from doorctl.config.extras import Listed
    from doorctl.config.tables import Target
    from doorctl.core.moments import Moment
    from doorctl.devices.lines import Line, LineEvent, Signals
    from doorctl.doord.hours import Follower
    from doorctl.lookup.app import App
    from doorctl.store.branch_writer import BranchRecordsWriter
    from doorctl.sync.branch import Branch
    from doorctl.sync.exports import Fetched
    from doorctl.sync.feed import RowsOf
    from doorctl.web.addresses import Place
    from doorctl.web.alarms import StandingAlarms
    from doorctl.web.frame import Frame
    from doorctl.web.jobs import Write
    from doorctl.web.signing_in import SigningIn
    from doorctl.web.staff.entrance import Elsewhere


@dataclass(frozen=True, slots=True)
class DoorParts:
    """What the door process gives an extra; what has to end goes onto the `stack`."""

    config: Config
    factory: Factory
    log: EventLog
    stack: ExitStack


@dataclass(frozen=True, slots=True)
class LineParts:
    """What the door process gives a kind of reader or keypad.

    Args:
        names: the lines that are of this kind: ``reader``, ``keypad`` or both.
        post: takes what a device hears, for the line that the event names; from any thread, and
            neither blocks nor raises.
        pending: how many events wait to be handled; see `MOST_PENDING` of `devices/lines.py`.
        monotonic_s: by which it is noted when bytes were read.
    """

    config: Config
    names: tuple[str, ...]
    post: Callable[[LineEvent], None]
    pending: Callable[[], int]
    monotonic_s: Callable[[], float]
    log: EventLog


@dataclass(frozen=True, slots=True)
class Lines:
    """The devices of one kind, not yet started; one device may serve two lines.

    `signals` are the lamps and the buzzer of a reader that has its own.
    """

    devices: tuple[Line, ...]
    signals: Signals | None = None


Probe = Callable[[str], Mapping[str, object] | None]
"""The path of a serial line -> what stands under [reader] for the reader that answered there."""

Plugged = Callable[[Path], Iterable[Path]]
"""The folder ``/dev`` -> the devices of a kind, by names that survive re-plugging."""


@dataclass(frozen=True, slots=True)
class JobParts:
    """What the web process gives an extra for its threads; they end with the `stack`.

    `write` has the one writer of ``branch.db`` do a job.
    """

    config: Config
    clock: Clock
    log: EventLog
    write: Write
    stack: ExitStack


@dataclass(frozen=True, slots=True)
class PushParts:
    """What the web process gives an extra by which pushes come in; it ends with the `stack`.

    `senders` answers the senders' addresses alone. It belongs to the event loop of the web process.
    """

    app: App
    alarms: StandingAlarms
    log: EventLog
    senders: ASGIApp
    stack: ExitStack


@dataclass(frozen=True, slots=True)
class SignInParts:
    """What the web process gives an extra by which staff sign in."""

    frame: Frame
    signing_in: SigningIn


@dataclass(frozen=True, slots=True)
class PageParts:
    """What the web process gives an extra for its pages; what has to end goes onto the `stack`."""

    app: App
    frame: Frame
    alarms: StandingAlarms
    stack: ExitStack


@dataclass(frozen=True, slots=True)
class SenderParts:
    """What `doorctl setup` gives an extra on the library's server.

    Args:
        path: the sender's file, of which `text` is what is there or is going to be.
        tables: those of `text`.
        given: answers that stand already, by table; `scripted` if there is nobody to ask.
        say: an English text -> the same in the language of the dialogue.
        edited: a text, a key and its value -> the text with it.
        configured: a text -> the configuration that it is. ConfigError: it is none.
    """

    path: Path
    text: str
    tables: Mapping[str, Any]
    given: Mapping[str, Any]
    scripted: bool
    say: Callable[[str], str]
    edited: Callable[[str, str, object], str]
    configured: Callable[[str], Config]


@dataclass(frozen=True, slots=True)
class CommandLine:
    """A command: its ``module:function``, and its line in ``--help``."""

    function: str
    line: str


Fetching = AbstractContextManager["Fetched | None"]
Exporting = Callable[[Config, Clock, Path, str], Fetching | None]
"""Configuration, clock, directory for a file, etag of the last export -> what fetches it.

For the length of a block: in it there is the export; None where it is still what it was at that
etag. FetchError and others of `DoorctlError` say why it could not be fetched. No block where
nothing is to be fetched.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra(Declared):
    """What an extra adds; each function imports what it needs only when it is called.

    Args:
        library: the client of a library system, for a kind of `lms.kind`. KeyFileError: a password
            or certificate can't be read.
        lines: the devices of a kind of `reader.kind` and `keypad.kind`, which has the extra's name.
            DeviceError, KeyFileError: what they need can't be had.
        probe: asks a serial line for a reader of this kind, and sends bytes for it; what stands
            under [reader] for one that answers, else None. DeviceError: the line can't be opened.
        plugged: finds what a line of this kind may be, where that is no serial line.
        reader_key: gives the reader of a kind its next key, or with True, in the reader's set-up
            mode, its first; says how it went. DeviceError, KeyFileError: it has none; says why.
        follower: what the door tells of each look at the hours; None where it has nothing to do.
        begin: what `doorctl init` stores in an empty ``branch.db``.
        jobs: starts threads of the web process.
        pushes: another way by which pushes come in, begun on the loop that answers; None for none.
        branches: what makes, for one run, a branch that is reached that way, as its sender asks
            it by a signed question; what has to end with the run goes onto the stack.
            KeyFileError: a file of its own can't be used.
        elsewhere: another way to sign in, with its pages; None where it has none.
        pages: addresses of the web process.
        places: lines of the menu that lead to them.
        rows: how the rows of an export are read.
        export: fetches the sender's export from another machine.
        sender: asks what the sender's export is; returns the text of its file.
        notes: what ``check-config`` says of settings that are easily taken for something else.
        commands: name -> command.
    """

    library: Callable[[Lms, Clock], LibrarySystem] | None = None
    lines: Callable[[LineParts], Lines] | None = None
    probe: Probe | None = None
    plugged: Plugged | None = None
    reader_key: Callable[[Config, bool], str] | None = None
    follower: Callable[[DoorParts], Follower | None] | None = None
    begin: Callable[[Config, BranchRecordsWriter, Moment], None] | None = None
    jobs: Callable[[JobParts], None] | None = None
    pushes: Callable[[PushParts], Callable[[AbstractEventLoop], None] | None] | None = None
    branches: Callable[[Config, ExitStack], Callable[[Target, str], Branch]] | None = None
    elsewhere: Callable[[SignInParts], Elsewhere | None] | None = None
    pages: Callable[[PageParts], Iterable[BaseRoute]] | None = None
    places: Callable[[Config], Iterable[Place]] | None = None
    rows: Callable[[Config], RowsOf] | None = None
    export: Exporting | None = None
    sender: Callable[[SenderParts], str] | None = None
    notes: Callable[[Config], Iterable[str]] | None = None
    commands: Mapping[str, CommandLine] = field(default_factory=dict)


def used(config: Config) -> Iterator[Extra]:
    """Yield the extras of a configuration, which are on this machine."""
    yield from filter(None, (extra_named(listed.name) for listed in _asked_for(config)))


def feed_rows(config: Config) -> RowsOf | None:
    """Return how the rows of an export are read; None for files of the feed's own names."""
    return next((extra.rows(config) for extra in used(config) if extra.rows), None)


def fetched(config: Config, clock: Clock, directory: Path, etag: str = "") -> Fetching | None:
    """Return what fetches the sender's export; see `Exporting`."""
    found = (extra.export(config, clock, directory, etag) for extra in used(config) if extra.export)
    return next(filter(None, found), None)


def folders(config: Config) -> list[Path]:
    """Return the folders of the extras of a configuration, where their templates are."""
    return [Path(__file__).parent / listed.name for listed in _asked_for(config)]


def _asked_for(config: Config) -> tuple[Listed, ...]:
    return extras_at(wanted_by(config.origin.values))


def commands() -> dict[str, CommandLine]:
    """Return the commands of all extras that are on this machine, used or not."""
    named: dict[str, CommandLine] = {}
    for extra in hung_on().values():
        named |= extra.commands
    return named


def hung_on() -> dict[str, Extra]:
    """Return all extras that are on this machine, used or not, by their names."""
    found = {listed.name: extra_named(listed.name) for listed in installed()}
    return {name: extra for name, extra in found.items() if extra is not None}


def extra_named(name: str) -> Extra | None:
    """Return an extra; None where it is not on this machine."""
    found = find(name)
    return found if isinstance(found, Extra) else None
