"""FOLIO, asked over its own API, for ``lms.kind = "folio"``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from doorctl.config.rules import ACCOUNT, LibraryKind
from doorctl.config.tables import Lms, LmsWithClasses
from doorctl.core.errors import InputError
from doorctl.extras.extra import Extra

if TYPE_CHECKING:
    from doorctl.access.messages import LibrarySystem
    from doorctl.core.ports import Clock


def library(lms: Lms, _clock: Clock) -> LibrarySystem:
    """Return the client. KeyFileError: a password or certificate can't be read."""
    from doorctl.extras.folio.client import FolioLibrary
    from doorctl.sources.library import password_in

    if not isinstance(lms, LmsWithClasses):
        raise InputError(f"lms.kind is {lms.kind}, and not folio")
    return FolioLibrary(lms, password_in(lms.password_file))


FOLIO = LibraryKind(
    kind="folio",
    needed=("url", "agency", *ACCOUNT),
    schemes=("https", "http"),
    sample="https://folio.example",
)

EXTRA = Extra(section=LmsWithClasses, rules=(FOLIO,), library=library)
