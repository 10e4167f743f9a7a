"""A branch in an empty directory: its configuration, keys, databases, and who has which card."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from doorctl.access.patron import Patron, SealedRow, row_key
from doorctl.access.rights import Ban, Pass
from doorctl.admin.installation import initialise
from doorctl.config import Config, load
from doorctl.config.shipped import shipped
from doorctl.core.masked import Identifier, IdentifierKind, Pin, StretchedKey
from doorctl.lookup.app import App
from doorctl.lookup.numbers import TakenAs, own_sealer
from doorctl.services import deeds, rights
from doorctl.services.branch import change
from doorctl.services.rights import Reach
from doorctl.services.subject import Named
from doorctl.store.patrons_writer import open_or_create_patrons
from tests.fakes.cards import replace_rows


def configured(directory: Path, *overrides: str) -> Config:
    """Return a configuration in which nothing has been made yet."""
    return load(
        shipped("demo.toml"),
        (
            f"storage.directory={directory}",
            f"secrets.installation_key_file={directory / 'installation.key'}",
            "seal.memory_kib=8",
            "reader.port=/dev/null",
            "policy.code_entry=true",
            *overrides,
        ),
    )


def initialised(directory: Path, *overrides: str) -> Config:
    """Return the configuration of a branch after `doorctl init`."""
    config = configured(directory, *overrides)
    initialise(config)
    return config


def stretched(app: App, kind: IdentifierKind, number: str) -> StretchedKey:
    """Return ``K`` of a number."""
    return own_sealer(app.config).stretch(Identifier(kind, number))


def key(app: App, kind: IdentifierKind, number: str) -> bytes:
    """Return the row key of a number."""
    return row_key(stretched(app, kind, number))


def register(
    app: App,
    *known: tuple[IdentifierKind, str, str],
    at: datetime = datetime(2026, 1, 1, tzinfo=UTC),
) -> None:
    """Have the register know numbers since a time: kind, number, whose."""
    writer = open_or_create_patrons(app.storage.patrons_db, own_sealer(app.config).seal)
    replace_rows(
        writer,
        [SealedRow(key(app, kind, number), Patron(ref)) for kind, number, ref in known],
        at,
        app.config.policy.minimum_age,
    )
    writer.close()


def ban_card(
    app: App, typed: str, taken_as: TakenAs | None, new: Ban
) -> tuple[tuple[Ban, Reach], ...]:
    """Ban whom staff name by a card."""
    return rights.ban(app, rights.whose(app, Named(typed, None, taken_as)), new)


def ban_patron(app: App, patron_ref: str, new: Ban) -> tuple[Ban, Reach]:
    """Ban whom staff name by the library system's number."""
    (banned,) = rights.ban(app, rights.whose(app, Named(None, patron_ref, None)), new)
    return banned


def issue_for_card(
    app: App, typed: str, taken_as: TakenAs | None, new: Pass, own_pin: Pin | None
) -> Pass:
    """Issue a pass for a card."""
    return change(app, deeds.issue_pass(*rights.for_card(app, typed, taken_as, new, own_pin)))
