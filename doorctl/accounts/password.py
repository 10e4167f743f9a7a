"""The rules for passwords, as NIST SP 800-63B and OWASP ASVS 5.0 V6.2 say.

A password is long, neither common nor stolen, and not made of the login. No rules on which
characters it has.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from bisect import bisect_left
from pathlib import Path
from typing import Protocol

from doorctl.core.errors import InputError
from doorctl.core.masked import Masked


class PasswordHasher(Protocol):
    """Argon2id. Thread-safe, slow: one at a time, for each takes much memory."""

    def hashed(self, password: Password) -> str:
        """Return a new hash, with its salt and cost in it."""

    def fits(self, hashed: str | None, password: Password) -> bool:
        """Tell whether a password fits a hash; None never fits, and takes as long."""

    def is_old(self, hashed: str) -> bool:
        """Tell whether a hash was made at another cost than the present one."""


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
