"""Opens the patron register to be read by whoever has no key, as the web process has none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

from doorctl.bootstrap.rules import patrons_db
from doorctl.config import Config
from doorctl.errors import StoreError
from doorctl.store.patrons import PatronCache
from doorctl.store.seal_on_record import seal_on_record
from doorctl.store.sealing import Seal
from doorctl.store.subject_reader import SubjectReader


@contextmanager
def open_register(config: Config, seal: Seal | None = None) -> Iterator[PatronCache]:
    """Open it.

    Args:
        config: the whole configuration.
        seal: what the numbers to be looked up are sealed with; None for whatever the register
            says, where no number is.

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
    """Tell whether the register has a card of a patron; a register that can't be read has none."""
    with suppress(StoreError), closing(SubjectReader(patrons_db(config))) as register:
        return bool(register.cards(patron_ref))
    return False
