"""Koha, asked over its REST API, for ``lms.kind = "koha"``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from doorctl.config.rules import ACCOUNT, LibraryKind
from doorctl.config.tables import Lms, LmsWithClasses, key
from doorctl.core.errors import InputError
from doorctl.extras.extra import Extra

if TYPE_CHECKING:
    from doorctl.access.messages import LibrarySystem
    from doorctl.core.ports import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Koha(LmsWithClasses):
    """What Koha alone reads of [lms]: how doorctl shows who it is."""

    authentication: Literal["oauth2", "basic"] = key("oauth2")


def library(lms: Lms, _clock: Clock) -> LibrarySystem:
    """Return the client. KeyFileError: a password or certificate can't be read."""
    from doorctl.extras.koha.client import KohaLibrary
    from doorctl.sources.library import password_in

    if not isinstance(lms, Koha):
        raise InputError(f"lms.kind is {lms.kind}, and not koha")
    return KohaLibrary(lms, password_in(lms.password_file))


KOHA = LibraryKind(
    kind="koha",
    needed=("url", *ACCOUNT),
    schemes=("https", "http"),
    sample="https://koha.example",
    useless=("agency",),
)

EXTRA = Extra(section=Koha, rules=(KOHA,), library=library)
