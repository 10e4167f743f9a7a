"""The `App`: configuration, clock and paths, which every look-up and service is given."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from doorctl.config import Config
from doorctl.config.tables import Storage
from doorctl.core.identity import caller
from doorctl.core.ports import Clock
from doorctl.lookup.configured import retention, system_clock
from doorctl.privacy.retention import visible_since
from doorctl.store.branch import BranchRecords
from doorctl.store.door_log import DoorLogRows

if TYPE_CHECKING:
    from doorctl.lookup.numbers import Numbers


@dataclass(frozen=True, slots=True)
class App:
    """Configuration, clock and paths; built once in each process or command.

    `numbers` makes keys of card numbers; None for this machine's installation key. `account` is the
    one that acts; None for the caller of a command.
    """

    config: Config
    clock: Clock
    numbers: Numbers | None = None
    account: str | None = None

    @classmethod
    def of(cls, config: Config) -> App:
        """Return the `App` of a command; its clock is never in doubt."""
        return cls(config, system_clock(config))

    def acting(self, account: str) -> App:
        """Return the same for what an account does."""
        return replace(self, account=account)

    @property
    def by(self) -> str:
        """Who acts, for the audit log."""
        return caller() if self.account is None else self.account

    @property
    def storage(self) -> Storage:
        """Where the databases are."""
        return self.config.storage


@contextmanager
def open_book(app: App) -> Iterator[BranchRecords]:
    """Open ``branch.db`` to read it beside its writer; no file is made where there is none."""
    with closing(BranchRecords(app.storage.branch_db)) as book:
        yield book


def shown_since(app: App) -> datetime:
    """Return how far back visits may be shown."""
    return visible_since(app.clock.bounded().latest, retention(app.config))


@contextmanager
def open_attempts(app: App) -> Iterator[DoorLogRows]:
    """Open the door log to read those of its attempts that may be shown."""
    with closing(DoorLogRows(app.storage.visits_db, shown_since(app))) as rows:
        yield rows
