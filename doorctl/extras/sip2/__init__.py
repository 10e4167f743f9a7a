"""Any library system asked over SIP2, for ``lms.kind = "sip2"``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from doorctl.config.rules import LibraryKind
from doorctl.config.tables import Lms, LmsWithClasses, key
from doorctl.core.errors import InputError
from doorctl.extras.extra import Extra

if TYPE_CHECKING:
    from doorctl.access.messages import LibrarySystem
    from doorctl.config import Config
    from doorctl.core.ports import Clock

Flag = Annotated[int, Meta(ge=1, le=14)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sip2(LmsWithClasses):
    """What SIP2 alone reads of [lms]: accounts, frames, and what a server's answer means."""

    terminal_password_file: Path = key(Path(), example="/etc/doorctl/lms-terminal.password")
    checksum: bool = key(True)
    deny_flags: tuple[Flag, ...] = key(
        (), example=[6, 7], allowed="a list of whole numbers from 1 to 14", max_length=14
    )
    allow_charge_denied: bool = key(False)


def settings(lms: Lms) -> Sip2:
    """Return [lms] as this kind's. InputError: it is another kind's."""
    if not isinstance(lms, Sip2):
        raise InputError(f"lms.kind is {lms.kind}, and not sip2")
    return lms


def library(lms: Lms, clock: Clock) -> LibrarySystem:
    """Return the client. KeyFileError: a password or certificate can't be read."""
    from doorctl.extras.sip2.client import Sip2Library
    from doorctl.sources.library import password_in

    own = settings(lms)
    passwords = map(password_in, (own.password_file, own.terminal_password_file))
    return Sip2Library(own, clock, *passwords)


def notes(config: Config) -> Iterable[str]:
    """Say whom the flags of a patron's status keep out."""
    from doorctl.extras.sip2.meaning import meaning_of_flags

    return (meaning_of_flags(settings(config.lms), config.policy.deny_blocks),)


SIP2 = LibraryKind(
    kind="sip2",
    needed=("url",),
    schemes=("sip2s", "sip2"),
    sample="sip2s://sip2.example:6002",
    is_bare=True,
)

EXTRA = Extra(section=Sip2, rules=(SIP2,), library=library, notes=notes)
