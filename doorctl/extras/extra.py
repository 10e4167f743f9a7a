"""How an extra is hung on the processes and commands; its declaration is a constant `EXTRA`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from doorctl.access.messages import LibrarySystem
from doorctl.config import Config
from doorctl.config.extras import Declared, find, installed, wanted_by
from doorctl.config.tables import Lms
from doorctl.core.ports import Clock, EventLog

if TYPE_CHECKING:
    # A process loads what it is given of an extra, and no more.
    from gpiozero import Factory
    from starlette.routing import BaseRoute

    from doorctl.core.moments import Moment
    from doorctl.doord.hours import Follower
    from doorctl.lookup.app import App
    from doorctl.store.branch_writer import BranchRecordsWriter
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
class SignInParts:
    """What the web process gives an extra by which staff sign in."""

    frame: Frame
    signing_in: SigningIn


@dataclass(frozen=True, slots=True)
class PageParts:
    """What the web process gives an extra for its pages."""

    app: App
    frame: Frame
    alarms: StandingAlarms


@dataclass(frozen=True, slots=True)
class CommandLine:
    """A command: its ``module:function``, and its line in ``--help``."""

    function: str
    line: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra(Declared):
    """What an extra adds; each function imports what it needs only when it is called.

    Args:
        library: the client of a library system, for a kind of `lms.kind`. KeyFileError: a password
            or certificate can't be read.
        follower: what the door tells of each look at the hours; None where it has nothing to do.
        begin: what `doorctl init` stores in an empty ``branch.db``.
        jobs: starts threads of the web process.
        elsewhere: another way to sign in, with its pages; None where it has none.
        pages: addresses of the web process.
        notes: what ``check-config`` says of settings that are easily taken for something else.
        commands: name -> command.
    """

    library: Callable[[Lms, Clock], LibrarySystem] | None = None
    follower: Callable[[DoorParts], Follower | None] | None = None
    begin: Callable[[Config, BranchRecordsWriter, Moment], None] | None = None
    jobs: Callable[[JobParts], None] | None = None
    elsewhere: Callable[[SignInParts], Elsewhere | None] | None = None
    pages: Callable[[PageParts], Iterable[BaseRoute]] | None = None
    notes: Callable[[Config], Iterable[str]] | None = None
    commands: Mapping[str, CommandLine] = field(default_factory=dict)


def used(config: Config) -> Iterator[Extra]:
    """Yield the extras of a configuration, which are on this machine."""
    yield from filter(None, (_extra(listed.name) for listed in wanted_by(config.origin.values)))


def folders(config: Config) -> list[Path]:
    """Return the folders of the extras of a configuration, where their templates are."""
    return [Path(__file__).parent / listed.name for listed in wanted_by(config.origin.values)]


def commands() -> dict[str, CommandLine]:
    """Return the commands of all extras that are on this machine, used or not."""
    named: dict[str, CommandLine] = {}
    for listed in installed():
        extra = _extra(listed.name)
        named |= {} if extra is None else extra.commands
    return named


def _extra(name: str) -> Extra | None:
    found = find(name)
    return found if isinstance(found, Extra) else None
