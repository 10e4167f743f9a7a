"""What pages know of the branch and of who asks; the bootstrap fills it in."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from doorctl.accounts.account import Origin
from doorctl.accounts.roles import Permission, Role
from doorctl.web.pages.words import Words


@dataclass(frozen=True, slots=True)
class Person:
    """Who is signed in.

    Args:
        account: the account's name, as it stands on the audit log.
        role: what they may do.
        must_change: somebody else chose the password, so it is changed before anything else.
        origin: who checks who they are.
        fresh: whether they signed in so lately that they may change accounts or end sessions.
        second_factor: whether a code is asked of them beside the password.
        must_enrol: they have none and need one, so it is set up before anything else.
    """

    account: str
    role: Role
    must_change: bool = False
    origin: Origin = Origin.LOCAL
    fresh: bool = False
    second_factor: bool = False
    must_enrol: bool = False

    @property
    def has_password(self) -> bool:
        """Whether there is a password of ours, which they may change."""
        return self.origin is Origin.LOCAL


class Sessions(Protocol):
    """Whose session a request belongs to. Thread-safe; may wait for a disk; raises StoreError."""

    def person(self, token: str) -> Person | None:
        """Return who signed in with a token; None where the session is over."""

    def look(self, token: str) -> Person | None:
        """As `person`, but for a page that asks by itself: it keeps no session alive."""


class Refused(Protocol):
    """Puts on record that a role was refused. Thread-safe; may wait for a disk."""

    def note(self, account: str, page: str, needs: Permission) -> None:
        """Put it on record, by the route's own path; raises StoreError."""


@dataclass(frozen=True, slots=True)
class House:
    """What every page says of the branch, and how browsers reach it.

    Args:
        name: the branch's.
        phone: for refused patrons; may be empty.
        words_of: how each language says things, by its code.
        now: tells the branch's local time.
        encrypted: whether browsers use HTTPS.
        signs_in_elsewhere: whether the municipality's identity provider is asked.
        pseudonym_key: of this start of the web process alone, so nobody can ask for it later.
    """

    name: str
    phone: str
    words_of: Callable[[str | None], Words]
    now: Callable[[], datetime]
    encrypted: bool
    signs_in_elsewhere: bool = False
    pseudonym_key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    @property
    def session_cookie(self) -> str:
        """The name of the session's cookie: a browser ties the prefixed one to this host."""
        return "__Host-doorctl" if self.encrypted else "doorctl"

    @property
    def language_cookie(self) -> str:
        """The name of the cookie by which a language is kept."""
        return f"{self.session_cookie}-language"

    @property
    def known_cookie(self) -> str:
        """The name of the cookie by which a browser is known that has signed in before."""
        return f"{self.session_cookie}-known"
