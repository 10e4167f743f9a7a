"""Staff accounts, their roles, sessions and passwords; ports to what stores and checks them."""

from __future__ import annotations

import hashlib
import re
import secrets
import unicodedata
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from doorctl.core.errors import InputError
from doorctl.core.masked import Masked
from doorctl.core.moments import BootTime
from doorctl.core.texts import refuse_text

# Roles and what each may do: one table, checked at every request.


class Role(Enum):
    """A person's job at the branch; the values are fixed names in files and scripts."""

    VIEWER = "viewer"
    STAFF = "staff"
    MANAGER = "manager"
    DPO = "dpo"
    TECHNICIAN = "technician"


class Permission(Enum):
    """A thing that a role may or may not do; the values are fixed names too."""

    SEE_LOG = "see_log"
    SEARCH_LOG = "search_log"
    REVEAL = "reveal"
    EXPORT_LOG = "export_log"
    SEE_NOW = "see_now"
    OPEN_ONCE = "open_once"
    SET_MODE = "set_mode"
    ACKNOWLEDGE = "acknowledge"
    EXPLAIN = "explain"
    SEE_BANS = "see_bans"
    CHANGE_BANS = "change_bans"
    SEE_PASSES = "see_passes"
    CHANGE_PASSES = "change_passes"
    SEE_CALENDAR = "see_calendar"
    CHANGE_CALENDAR = "change_calendar"
    SEE_STATISTICS = "see_statistics"
    SUBJECT_RIGHTS = "subject_rights"
    SEE_AUDIT = "see_audit"
    ACCOUNTS = "accounts"
    HOLD = "hold"


_VIEWER = frozenset(
    {Permission.SEE_NOW, Permission.SEE_LOG, Permission.SEE_CALENDAR, Permission.SEE_STATISTICS}
)
_STAFF = _VIEWER | {
    Permission.SEARCH_LOG,
    Permission.OPEN_ONCE,
    Permission.SET_MODE,
    Permission.ACKNOWLEDGE,
    Permission.EXPLAIN,
    Permission.SEE_BANS,
    Permission.CHANGE_BANS,
    Permission.SEE_PASSES,
    Permission.CHANGE_PASSES,
    Permission.CHANGE_CALENDAR,
}
_MANAGER = _STAFF | {
    Permission.REVEAL,
    Permission.EXPORT_LOG,
    Permission.SEE_AUDIT,
    Permission.ACCOUNTS,
    Permission.HOLD,
}
# Looks at everything that is kept of people, and changes nothing at the door.
_DPO = frozenset(
    {
        Permission.SEE_NOW,
        Permission.SEE_LOG,
        Permission.SEARCH_LOG,
        Permission.REVEAL,
        Permission.EXPORT_LOG,
        Permission.SEE_STATISTICS,
        Permission.SUBJECT_RIGHTS,
        Permission.SEE_AUDIT,
        Permission.HOLD,
    }
)
# Works on the door, and looks at nobody by name.
_TECHNICIAN = _VIEWER | {Permission.ACKNOWLEDGE, Permission.SET_MODE, Permission.OPEN_ONCE}

PERMITS: Mapping[Role, frozenset[Permission]] = MappingProxyType(
    {
        Role.VIEWER: _VIEWER,
        Role.STAFF: _STAFF,
        Role.MANAGER: _MANAGER,
        Role.DPO: _DPO,
        Role.TECHNICIAN: _TECHNICIAN,
    }
)
"""What each role may do; anything else is refused."""


def permits(role: Role, permission: Permission) -> bool:
    """Tell whether a role may do a thing."""
    return permission in PERMITS[role]


LONGEST_NAME = 64

_NAME = re.compile(rf"[a-z0-9][a-z0-9._@+-]{{0,{LONGEST_NAME - 1}}}")

KEEPERS = frozenset({Role.MANAGER, Role.TECHNICIAN})
"""One local account of these roles must work: the identity provider may be down."""


class Origin(Enum):
    """Who checks a person's identity; the values are fixed names."""

    LOCAL = "local"
    PROVIDER = "provider"


@dataclass(frozen=True, slots=True)
class Account:
    """An account, without its password; `shown` is the duty's name where several people use it.

    `must_change`: somebody else chose the password. `subject` is the provider's own name for it.
    """

    name: str
    shown: str
    role: Role
    disabled: bool = False
    must_change: bool = False
    origin: Origin = Origin.LOCAL
    subject: str | None = None
    second_factor: bool = False

    @property
    def has_password(self) -> bool:
        """Whether there is a password of ours, which its owner may change."""
        return self.origin is Origin.LOCAL

    @property
    def keeps_the_house(self) -> bool:
        """Whether one of :data:`KEEPERS` can sign in to it, whatever else is down."""
        return not self.disabled and self.has_password and self.role in KEEPERS


@dataclass(frozen=True, slots=True)
class Person:
    """Who is signed in. Only a `fresh` sign-in may change accounts and end sessions.

    Users whose account `must_change` its password, or who `must_enrol` a second factor, do that
    first.
    """

    account: Account
    fresh: bool = False
    must_enrol: bool = False


@dataclass(frozen=True, slots=True)
class SecondFactor:
    """A person's second proof of identity, beside the password.

    `secret` is base32, None where it can't be read; `step` the last step of 30 s whose code was
    used; `recovery` the SHA-256 of each recovery code that is left.
    """

    secret: Masked[str] | None
    step: int = 0
    recovery: frozenset[bytes] = field(default=frozenset(), repr=False)


def login_name(typed: str) -> str | None:
    """Return the login that was typed, in lower case; None for a text that can be no login."""
    name = typed.strip().lower()
    if not typed.isascii() or _NAME.fullmatch(name) is None:
        return None
    try:
        refuse_text("login", name, longest=LONGEST_NAME)
    except InputError:
        return None
    return name


def own_name(typed: str) -> str:
    """Return the login that was written, in lower case; InputError says what a login is."""
    name = login_name(typed)
    if name is None:
        raise InputError(
            f"a login is 1 to {LONGEST_NAME} of a-z, 0-9, ., _, @, + and -, begins with a letter "
            "or digit, and has no 8 digits in a row"
        )
    return name


def refuse_account(account: Account) -> None:
    """Raise InputError where an account's login or shown name is not valid."""
    if own_name(account.name) != account.name:
        raise InputError("a login is stored in lower case")
    refuse_text("shown name", account.shown, longest=LONGEST_NAME)


class Refusal(Enum):
    """Why a sign-in was refused; for the audit log alone, the page does not tell them apart."""

    WRONG = "wrong"
    DISABLED = "disabled"
    NO_ROLE = "no_role"
    NAME_TAKEN = "name_taken"


NOBODY = "(not signed in)"
"""The actor of a refused sign-in on the audit log."""

PROVIDER = "(identity provider)"
"""The actor on the audit log when the identity provider gives an account its role."""


# A session, judged by the time since the machine started: a wall clock that jumps neither prolongs
# nor ends one, and a restart ends all. OWASP ASVS 5.0 V7.2 and V7.3.

TOKEN_BYTES = 32

IDLE_MS = 30 * 60_000
"""A session ends after so long without an action; a branch may say less."""

LONGEST_MS = 8 * 3_600_000
"""A working day; then everybody signs in again."""

FRESH_MS = 5 * 60_000
"""For so long after a sign-in, accounts can be changed and sessions ended; then sign in again."""

TOUCH_MS = 60_000
"""How often the last action is stored: the disk is not written at each page."""


class Token(Masked[str]):
    """256 random bits as text; whoever has them is signed in."""

    __slots__ = ()

    @property
    def digest(self) -> bytes:
        """The SHA-256 of the token, which is stored in its place."""
        return hashlib.sha256(self.reveal().encode()).digest()


@dataclass(frozen=True, slots=True)
class Session:
    """One browser in which a person is signed in; `seen` is at most :data:`TOUCH_MS` too early."""

    account: str
    began: BootTime
    seen: BootTime

    def lives(self, now: BootTime, idle_ms: int = IDLE_MS) -> bool:
        """Tell whether it counts: not after a restart, a day, or `idle_ms` without an action."""
        return (
            self.began.boot_id == self.seen.boot_id == now.boot_id
            and now.ms_since(self.began) < LONGEST_MS
            and now.ms_since(self.seen) < idle_ms
        )

    def fresh(self, now: BootTime) -> bool:
        """Tell whether a live session's sign-in is recent."""
        return now.ms_since(self.began) < FRESH_MS

    def touch_due(self, now: BootTime) -> bool:
        """Tell whether it is time to store that the session is still in use."""
        return now.ms_since(self.seen) >= TOUCH_MS


def new_token() -> Token:
    """Return a new random token."""
    return Token(secrets.token_urlsafe(TOKEN_BYTES))


# The hasher and the provider.


class PasswordHasher(Protocol):
    """Argon2id. Thread-safe, slow: one at a time, for each takes much memory."""

    def hashed(self, password: Password) -> str:
        """Return a new hash, with its salt and cost in it."""

    def fits(self, hashed: str | None, password: Password) -> bool:
        """Tell whether a password fits a hash; None never fits, and takes as long."""

    def is_old(self, hashed: str) -> bool:
        """Tell whether a hash was made at another cost than the present one."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A sign-in under way at the identity provider; `verifier` proves that the browser began it."""

    state: Masked[str]
    nonce: Masked[str]
    verifier: Masked[str]


@dataclass(frozen=True, slots=True)
class Claims:
    """What the identity provider says of a person, after its signature was checked.

    `subject` is its own name for them, which never goes to somebody else; `name` is the login.
    """

    subject: str = field(repr=False)
    name: str = field(repr=False)
    shown: str = field(repr=False)
    groups: frozenset[str] = field(repr=False)


# The rules for passwords, as NIST SP 800-63B and OWASP ASVS 5.0 V6.2 say: a password is long,
# neither common nor stolen, and not made of the login. No rules on which characters it has.

SHORTEST_PASSWORD = 12
"""Characters; ASVS V6.2.1 wants 8 and recommends 15, and here there is no other rule."""

LONGEST_PASSWORD = 128
"""Characters; ASVS V6.2.9 wants 64 allowed. More only makes hashing slow."""

SHORTEST_NAME = 4
"""Shorter logins are not looked for: they stand in many good passwords by chance."""

SHORTEST_WALK = 6
"""Shorter parts of a password are not judged: their keys are neighbours by chance."""

SHORTEST_STEP = 3
"""A walk has at least so many keys of one row before it changes rows, as in ``qweasdzxc``."""

_WORDS = """
123456 123456789 12345678 12345 1234567 1234567890 123123 000000 111111 123321 654321 666666
112233 121212 123 1234 987654321 159753 147258369 1q2w3e 1q2w3e4r 1q2w3e4r5t 1qaz2wsx zaq12wsx
qazwsx qwerty qwertyuiop qwertz asdfgh asdfghjkl zxcvbn zxcvbnm abc abcd abcdef abcdefghijkl
abc123 a1b2c3 password passw0rd pass secret admin administrator root user guest test tester login
welcome letmein hello hej monkey dragon football fodbold baseball master shadow sunshine princess
superman batman pokemon starwars iloveyou jegelskerdig elskerdig trustno freedom whatever michael
jessica charlie computer internet changeme default temp summer winter spring autumn sommer vinter
efteraar efterår foraar forår danmark denmark aarhus københavn kobenhavn odense aalborg brøndby
kodeord adgangskode hemmelig velkommen skiftmig mandag fredag bibliotek biblioteket library
bibliotekar doorctl kommune skat solskin sommerfugl
sojdlg123aljg pe#5gz29ptzmse 111222tianya startfinding polniypizdec n8zgt5p0shw megaparol
telechargement yfdbufnjh mailcreated leavemealone
"""

_COMMON = frozenset(_WORDS.split())
"""Passwords that attackers try first, in Denmark too. A long password is compared without its
repeats, and without digits and signs at its end. The last lines are those others of 12 characters
among the 3000 commonest by the lists of Django 5.2 and zxcvbn 4.5."""

LIST = Path(__file__).with_name("stolen.bin")
MARK_BYTES = 4
"""So much of the SHA-256 of each of the 43 940 passwords, in lower case, that have 12 characters or
more among the million commonest of Mark Burnett's ten million stolen ones (2015, in OWASP's
SecLists). One good password in 16 000 is refused for nothing."""

_TAIL = re.compile(r"[\W\d_]+\Z")
_SIGNS = re.compile(r"[\W_]+\Z")
_ROWS = ("qwertyuiopåasdfghjklæøzxcvbnm", "qwertyuiopasdfghjklzxcvbnm", "qwertz")
_COLUMNS = ("1qaz", "2wsx", "3edc", "4rfv", "5tgb", "6yhn", "7ujm", "8ik", "9ol")
_IN_ORDER = ("abcdefghijklmnopqrstuvwxyz", "0123456789012")
_LINES = tuple(way for row in (*_ROWS, *_COLUMNS, *_IN_ORDER) for way in (row, row[::-1]))


class Password(Masked[str]):
    """A password as it was typed, in one Unicode form (NFKC) however it was written."""

    __slots__ = ()

    def __init__(self, typed: str) -> None:
        super().__init__(unicodedata.normalize("NFKC", typed))


def refuse_password(password: Password, name: str) -> None:
    """Raise InputError, which says the rule, for a new password that is easy to guess."""
    typed = password.reveal()
    if len(typed) < SHORTEST_PASSWORD:
        raise InputError(
            "a password has at least {n} characters; some words in a row are easy to keep",
            n=SHORTEST_PASSWORD,
        )
    if len(typed) > LONGEST_PASSWORD:
        raise InputError("a password has at most {n} characters", n=LONGEST_PASSWORD)
    if not typed.isprintable():
        raise InputError("the password holds characters that can't be typed everywhere")
    if _is_of(name, typed.casefold()):
        raise InputError("the password must not be the login, or made of it")
    if _is_common(typed.casefold()) or _is_stolen(typed.casefold()):
        raise InputError("the password is one of those that are tried first; choose another one")


def _is_of(name: str, typed: str) -> bool:
    own = name.partition("@")[0]
    return len(own) >= SHORTEST_NAME and _cores(typed).intersection({own, own[::-1], name}) != set()


def _is_common(typed: str) -> bool:
    cores = _cores(typed)
    return not cores.isdisjoint(_COMMON) or any(map(_is_walk, cores))


def _is_stolen(typed: str) -> bool:
    marks = LIST.read_bytes()

    def mark(number: int) -> bytes:
        return marks[number * MARK_BYTES : (number + 1) * MARK_BYTES]

    for core in _cores(typed):
        sought = hashlib.sha256(core.encode()).digest()[:MARK_BYTES]
        if mark(bisect_left(range(len(marks) // MARK_BYTES), sought, key=mark)) == sought:
            return True
    return False


def _is_walk(core: str) -> bool:
    """Tell whether it is only neighbouring keys, letters or digits in order, or repeats.

    Two walks whose keys take turns count as one, as in ``1q2w3e4r5t6y``.
    """
    if len(core) < SHORTEST_WALK:
        return False
    return _is_lines(core) or (_is_lines(core[::2]) and _is_lines(core[1::2]))


def _is_lines(keys: str) -> bool:
    ends = {0}
    for end in range(SHORTEST_STEP, len(keys) + 1):
        # A longer step is made of two shorter ones.
        starts = range(max(0, end - 2 * SHORTEST_STEP + 1), end - SHORTEST_STEP + 1)
        if any(start in ends and _is_line(keys[start:end]) for start in starts):
            ends.add(end)
    return len(keys) in ends


def _is_line(keys: str) -> bool:
    return len(set(keys)) == 1 or any(keys in line for line in _LINES)


def _cores(typed: str) -> set[str]:
    """Return a password with and without its repeats, and the digits or signs at its end.

    ``sommer2026!!`` is made of ``sommer``, ``123456123456`` of ``123456``.
    """
    unit = _unit(typed)
    bare = _TAIL.sub("", typed)
    return {typed, unit, bare, _SIGNS.sub("", typed), _TAIL.sub("", unit), _unit(bare)}


def _unit(typed: str) -> str:
    place = (typed + typed).find(typed, 1)
    return typed[:place] if place > 0 else typed
