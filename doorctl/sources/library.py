"""What the clients of library systems have in common; each is an extra, named by `lms.kind`."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

import httpx2

from doorctl.access.messages import LibraryAnswer, LibraryReply
from doorctl.config.tables import Lms, is_this_machine, read_address
from doorctl.core.asking import Talks, read_password, spelt, unreached
from doorctl.core.errors import InputError, LibrarySystemError
from doorctl.core.masked import Identifier, Masked, Pin

LmsT = TypeVar("LmsT", bound=Lms)


def password_in(file: Path) -> Masked[str]:
    """Return the password in a file; empty for no file. KeyFileError: it can't be read."""
    return Masked("") if file == Path() else read_password(file)


@dataclass(slots=True)
class Progress:
    """How far one request got: it may have the PIN (`sent`), an expired session was `renewed`."""

    sent: bool = False
    renewed: bool = False


class Library(ABC, Generic[LmsT]):
    """A client; the time limit is for each request, with login and connection.

    Raises InputError: it would send PINs to another machine in the clear.
    """

    def __init__(self, lms: LmsT, password: Masked[str]) -> None:
        at = read_address(lms.url)
        if at is None or not (at.encrypted or is_this_machine(at.host)):
            raise InputError("another machine is asked over TLS only; see lms.url")
        self._at, self._lms, self._password = at, lms, password
        self._talks = Talks()

    def ask(self, identifier: Identifier, pin: Pin, *, row_wanted: bool) -> LibraryReply:
        """Ask whether the PIN is the card's.

        What no card or keypad can send, and so what could end a field, is a no without being sent.
        """
        card_and_pin = spelt(identifier, pin)
        if card_and_pin is None:
            return LibraryReply(LibraryAnswer.NO)
        progress = Progress()
        try:
            asking = partial(self._ask, progress, *card_and_pin, row_wanted)
            return self._talks.within(self._lms.timeout_s, asking)
        except LibrarySystemError as error:
            why = str(error)
        except asyncio.LimitOverrunError:
            why = "its answer is too long"
        except (httpx2.HTTPError, OSError, EOFError) as error:
            why = unreached(error, "lms")
        # Raised out here, so that no exception with the library's answer is its context.
        raise LibrarySystemError(why, spent=progress.sent)

    @abstractmethod
    async def _ask(self, progress: Progress, card: str, pin: str, row_wanted: bool) -> LibraryReply:
        """Ask; what fails on the way passes through."""
