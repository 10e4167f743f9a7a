"""One exception tree. Each leaf says whose fault it is; each text says what to do next.

An adapter turns a library's exception into one of these at its edge; the command line prints one
line. Any other exception is a bug in doorctl: the relay goes off, systemd starts the daemon again.

No text in this tree may hold a PIN, a card number, a CPR number, a name or an address.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self


class DoorctlError(Exception):
    """Root of all errors that doorctl raises on purpose."""


class Sentence(str):
    """An English sentence that other languages can say too.

    `text` has a place in braces for each of its `values`, and is the key of its translations.
    """

    __slots__ = ("text", "values")

    text: str
    values: dict[str, object]

    def __new__(cls, text: str, /, **values: object) -> Self:
        """Fill in the values."""
        shown = {
            name: f"{value:%Y-%m-%d %H:%M}" if isinstance(value, datetime) else value
            for name, value in values.items()
        }
        made = super().__new__(cls, text.format(**shown) if values else text)
        made.text, made.values = text, values
        return made

    def told(self, say: Callable[[str], str]) -> str:
        """Return it in a language whose catalogue is asked by `say`."""
        return say(self.text).format(**self.values) if self.values else say(self.text)


@dataclass(frozen=True, slots=True, init=False)
class Problem:
    """One mistake in a file that a person wrote: `where` is the key or the line.

    `what` says what is wrong, what was found and what would be right, without a full stop.
    """

    where: str
    what: Sentence

    def __init__(self, where: str, text: str, /, **values: object) -> None:
        object.__setattr__(self, "where", where)
        object.__setattr__(self, "what", Sentence(text, **values))

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class ProblemsError(DoorctlError, ValueError):
    """A file is wrong in one or more places; the error lists all of them."""

    def __init__(self, subject: str, problems: Sequence[Problem]) -> None:
        self.subject = subject
        self.problems = tuple(problems)
        super().__init__(subject, self.problems)

    def __str__(self) -> str:
        return "\n".join(f"{self.subject}: {problem}" for problem in self.problems)


class ConfigError(ProblemsError):
    """The technician's: the configuration can't be used."""


class FeedError(ProblemsError):
    """The library system's export: a row can't be used, so none was."""


class FetchError(DoorctlError, ValueError):
    """The export can't be fetched as it is configured, or what came is none; nothing was sent."""


class FetchAwayError(FetchError, ConnectionError):
    """The machine that has the export gave no answer, or none now; a later run may get one."""


class WebsiteHoursError(DoorctlError, ValueError):
    """The website's: its hours can't be used, or it gives none; nothing was taken over."""


class InputError(DoorctlError, ValueError):
    """The caller's: something typed on the command line can't be read.

    `text` is English, with a place in braces for each of its `values`, and the key of its
    translations. Pages write a `date`, a local `datetime` and an `int` as their language does; a
    ban's number is a name, a `str`. A value called `day` or `time` is such a date or datetime in
    another process too.
    """

    def __init__(self, text: str, /, **values: object) -> None:
        self.text, self.values = text, values
        super().__init__(Sentence(text, **values))


class AlreadyExistsError(DoorctlError, FileExistsError):
    """The technician's: doorctl refuses to overwrite a file that exists."""


class KeyFileError(DoorctlError, OSError):
    """The technician's: the installation key is missing, too open or of the wrong length."""


class StoreError(DoorctlError, OSError):
    """The machine's: a database can't be read or written; trying again may help."""


class StoreDamagedError(StoreError):
    """The disk's: a database is malformed; trying again won't help, setting it aside will."""


class AnswerDamagedError(StoreDamagedError):
    """The disk's: what the library system answered about a card is damaged; it may be asked."""


class StoreBusyError(StoreError):
    """Another process holds a lock that only one may hold; try again when it is done."""


class StoreSlowError(StoreError):
    """The disk's: it has not taken a write in time; the write is not lost, and needs no repeat."""


class BranchStoreError(StoreError):
    """The machine's: bans, passes and hours can't be read; nobody is let in while that lasts."""


class RowsClashError(StoreError):
    """The sender's: rows clash with each other or with stored rows; trying again won't help."""


class DeviceError(DoorctlError, OSError):
    """The machine's: a device can't be used; the text names it."""


class NotAnsweringError(DoorctlError, ConnectionError):
    """No answer in time from the door, web, a child process of theirs, or a disk."""


class NotRunningError(NotAnsweringError):
    """No process listens on that socket, so the question was not put and nothing was done."""


class HungError(NotRunningError):
    """A process holds that socket and takes no question in time; nothing was asked of it."""


class OtherReleaseError(StoreError):
    """The technician's: another process answers what this release can't read; restart it."""


class StuckError(NotAnsweringError, StoreError):
    """The machine's: a write did not end in time; the text says if it may be done all the same."""


class PushError(DoorctlError, ValueError):
    """The sender's: a push was refused and nothing was changed."""


class PushUnsignedError(PushError):
    """The push is not signed by a key of this branch, or is for another branch (401)."""


class PushOutOfOrderError(PushError):
    """The push is older than the stored one, or does not follow on it (409)."""


class PushConflictError(PushOutOfOrderError):
    """The push has the number of the stored one, but other rows (409, alarm)."""


class PushTooLargeError(PushError):
    """The push has more bytes or rows than this branch takes (413)."""


class PushInvalidError(ProblemsError, PushError):
    """Lines of the push are wrong, or their number or digest is not the manifest's (422)."""


class PushGuardedError(PushError):
    """The push would lock out more patrons than is likely; somebody has to approve it (422)."""


class LibrarySystemError(DoorctlError, ConnectionError):
    """The library system was not reached or can't be understood; a later card asks again.

    `spent` says whether it may have counted a wrong PIN all the same.
    """

    def __init__(self, why: str, *, spent: bool) -> None:
        super().__init__(why)
        self.spent = spent


class SignInRefusedError(DoorctlError, PermissionError):
    """The sign-in was refused; the text never says which part was wrong."""

    def __init__(self, why: str = "the login or the password is not right") -> None:
        super().__init__(why)


class SignInWaitsError(SignInRefusedError):
    """Too many sign-ins have failed, by this account or from there; trying again later may help.

    `wait_s` says for how long, in whole seconds.
    """

    def __init__(self, wait_s: int) -> None:
        super().__init__(f"too many sign-ins have failed; wait {wait_s} s and try again")
        self.wait_s = wait_s


class IdentityProviderError(DoorctlError, ConnectionError):
    """The identity provider's: it was not reached, or its answer can't be believed."""
