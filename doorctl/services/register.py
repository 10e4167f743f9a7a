"""The patron register, read by whoever has no key, as the web process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

from doorctl.config import Config
from doorctl.core.errors import StoreError
from doorctl.services.app import patrons_db
from doorctl.store.keys import Seal, seal_on_record
from doorctl.store.patrons import PatronCache
from doorctl.store.subject import SubjectReader


@contextmanager
def open_register(config: Config, seal: Seal | None = None) -> Iterator[PatronCache]:
    """Open the patron register to read it, which needs no key.

    `seal` is that of the numbers to be looked up; None takes the register's, where none is looked
    up.

    Raises:
        StoreError: it is missing, empty, sealed otherwise or can't be read.
    """
    path = patrons_db(config)
    made = seal_on_record(path) if seal is None else seal
    if made is None:
        raise StoreError(f"{path} holds no patrons yet; push them, or load a feed")
    with closing(PatronCache(path, made)) as cache:
        yield cache


def knows_patron(config: Config, patron_ref: str) -> bool:
    """Tell whether the register has a card of a patron; no where it can't be read."""
    with suppress(StoreError), closing(SubjectReader(patrons_db(config))) as register:
        return bool(register.cards(patron_ref))
    return False
