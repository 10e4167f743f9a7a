"""Signing in and out: by a password of our own, or through the identity provider.

An unknown login, a wrong password and a disabled account look the same and take the same time:
each is charged to the throttle, stretches one password and gets the same sentence.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from threading import Lock

import pyotp
from pyotp.exceptions import OTPVerificationError

from doorctl.accounts.account import (
    IDLE_MS,
    LONGEST_NAME,
    LONGEST_PASSWORD,
    PROVIDER,
    Account,
    Books,
    Claims,
    Desk,
    Done,
    Event,
    Origin,
    Password,
    PasswordHasher,
    Pending,
    Refusal,
    Role,
    SecondFactor,
    Session,
    SignedInBook,
    Token,
    login_name,
    new_token,
    refuse_password,
    sign_in_refused,
)
from doorctl.accounts.throttle import (
    ACCOUNT,
    ADDRESS,
    BROWSER,
    NONE,
    account_charged,
    account_wait_s,
    address_charged,
    address_refunded,
    address_wait_s,
    browser_cookie,
    browser_known,
    caller,
)
from doorctl.core.errors import InputError, SignInRefusedError, SignInWaitsError, StoreError
from doorctl.core.masked import Masked
from doorctl.core.moments import BootTime, Moment
from doorctl.core.ports import Clock

# A second factor beside the password: codes of an app (TOTP, RFC 6238), and a few on paper, each
# once. The app's need the time: while the clock is in doubt only the recovery codes count.

RECOVERY_CODES = 10
RECOVERY_BYTES = 15
"""120 random bits: what is stored of them need not be slow to make (OWASP ASVS 5.0 V6.5.2)."""

WINDOW = 1
"""Steps of 30 seconds before and after: for a telephone's clock, and slow typing (RFC 6238)."""

_SECRET = re.compile(r"[A-Z2-7]{32}")


def new_secret(brought: str = "") -> Masked[str]:
    """Return 160 random bits in base32, as apps take them; or the secret a form brings back."""
    return Masked(brought if _SECRET.fullmatch(brought) else pyotp.random_base32())


def key_uri(secret: Masked[str], name: str, branch: str) -> Masked[str]:
    """Return the text that an app reads from a picture: the secret, its owner and the branch."""
    uri = pyotp.TOTP(secret.reveal()).provisioning_uri(name=name, issuer_name=branch)
    return Masked(uri)


def factor_begun(
    secret: Masked[str], code: str, moment: Moment
) -> tuple[SecondFactor, tuple[Masked[str], ...]]:
    """Return a second factor whose app has shown its first code, and its recovery codes.

    InputError: the code does not fit the secret now, or the clock is in doubt.
    """
    codes = tuple(_recovery_code() for _ in range(RECOVERY_CODES))
    factor = SecondFactor(secret, 0, frozenset(_mark(text.reveal()) for text in codes))
    used = factor_used(factor, code, moment)
    if used is None:
        raise InputError("the code is not the one that the app shows now")
    return used, codes


def factor_used(factor: SecondFactor, code: str, moment: Moment) -> SecondFactor | None:
    """Return a second factor after a code was used up; None where the code is wrong.

    Blanks and hyphens in the code don't count; while the clock is in doubt only recovery codes do.
    """
    mark = _mark(code)
    if mark in factor.recovery:
        return replace(factor, recovery=factor.recovery - {mark})
    if factor.secret is None or not moment.dependable:
        return None
    try:
        step = pyotp.TOTP(factor.secret.reveal()).verify_and_get_timecode(
            _plain(code), for_time=moment.local, valid_window=WINDOW
        )
    except OTPVerificationError:
        return None
    return replace(factor, step=step) if step > factor.step else None


def _recovery_code() -> Masked[str]:
    text = base64.b32encode(secrets.token_bytes(RECOVERY_BYTES)).decode().lower()
    return Masked("-".join(text[at : at + 4] for at in range(0, len(text), 4)))


def _plain(code: str) -> str:
    return re.sub(r"[\s-]", "", code).lower()


def _mark(code: str) -> bytes:
    return hashlib.sha256(_plain(code).encode(errors="replace")).digest()


NO_NAME = ""
"""Takes the place of a typed name that can be no login: such a name is stored nowhere."""

NO_PASSWORD = Password("")


@dataclass(frozen=True, slots=True)
class Open:
    """A live session, as its account's owner sees it; `number` names it but does not sign in.

    `seen_s`, the time since the last action, is at most about a minute too long.
    """

    number: str
    began_s: int
    seen_s: int


@dataclass(frozen=True, slots=True)
class _Admitted:
    """A try that was charged to the throttle, its account, and the hash to compare with.

    `address` is None where a known browser was charged instead of its address; `used` is what is
    left of `factor` after the code.
    """

    name: str
    charged: tuple[str, str]
    address: str | None
    account: Account | None
    hashed: str | None = field(repr=False)
    factor: SecondFactor | None = field(repr=False)
    used: SecondFactor | None = field(default=None, repr=False)

    @property
    def refusal(self) -> Refusal | None:
        return Refusal.DISABLED if self.account is not None and self.account.disabled else None


class SigningIn:
    """Let staff in and out. Thread-safe; slow work is done outside of the writer's thread.

    Args:
        roles: the role of each group of the identity provider; a person's first one counts.
        factor_required: whether a person without a second factor must set one up first.
    """

    def __init__(
        self,
        desk: Desk,
        book: SignedInBook,
        hasher: PasswordHasher,
        clock: Clock,
        *,
        roles: Sequence[tuple[str, Role]] = (),
        idle_ms: int = IDLE_MS,
        factor_required: bool = False,
    ) -> None:
        self._desk = desk
        self._book = book
        self._hasher = hasher
        self._clock = clock
        self._roles = tuple(roles)
        self._idle_ms = idle_ms
        self._factor_required = factor_required
        self._key: bytes | None = None

    def knows(self, name: str, shown: str) -> bool:
        """Tell whether a cookie proves that its browser signed in to the login `name` before."""
        return self._browser(name, shown) is not None

    def cookie(self, name: str, shown: str) -> str:
        """Return the cookie by which :meth:`knows` recognises a browser that has just signed in."""
        return browser_cookie(self._known_by(), login_name(name) or NO_NAME, shown)

    @property
    def tells_time(self) -> bool:
        """Whether codes of an app count; they don't while the clock is in doubt."""
        return self._clock.moment().dependable

    def asks_codes(self) -> bool:
        """Tell whether any account here has a second factor; raises StoreError."""
        return any(account.second_factor for account in self._book.every())

    def must_enrol(self, account: Account) -> bool:
        """Tell whether an account must set up a second factor first, and the clock allows it."""
        local = account.origin is Origin.LOCAL and not account.second_factor
        return self._factor_required and local and self.tells_time

    def enrol(
        self, token: Token, secret: Masked[str], code: str
    ) -> tuple[Token, tuple[Masked[str], ...]]:
        """Give the caller's own account a second factor; all sessions end.

        Returns the new token and the recovery codes, which are shown only now. InputError: the code
        does not fit. SignInRefusedError: nobody is signed in by a password of ours.
        """
        name = self._local(token)
        factor, codes = factor_begun(secret, code, self._clock.moment())
        return self._desk.run(partial(self._enrolled, name, factor)), codes

    def sign_in(
        self, name: str, password: Password, address: str, shown: str = "", code: str = ""
    ) -> Token:
        """Sign in by login, password and the account's second factor, if any; return a new token.

        Failures are counted by `address`, unless `shown` is the cookie of a browser that signed in
        before. `code` is the app's or a recovery code; each counts once. Raises SignInWaitsError:
        too many have failed; nothing was compared. SignInRefusedError: something is wrong; it does
        not say what. StoreError: it could not be stored, so nobody was signed in.
        """
        admitted = self._proved(name, password, address, shown, code)
        # Not on the writer's thread: stretching takes longer than anything else it does.
        is_old = admitted.hashed is not None and self._hasher.is_old(admitted.hashed)
        fresh = self._hasher.hashed(password) if is_old else None
        return self._desk.run(partial(self._signed_in, admitted, fresh))

    def sign_in_by_oidc(self, claims: Claims) -> Token:
        """Sign in a person that the identity provider knows; return a new token.

        The first sign-in makes the account; the groups give the role each time. SignInRefusedError:
        no role, disabled, or the login belongs to somebody else.
        """
        token = self._desk.run(partial(self._provided, claims))
        if token is None:
            raise SignInRefusedError("your account at the municipality has no access here")
        return token

    def change_password(
        self,
        token: Token,
        old: Password,
        new: Password,
        address: str,
        shown: str = "",
        *,
        code: str = "",
    ) -> Token:
        """Change the caller's own password; return the new token. All sessions end, this one too.

        Arguments as in :meth:`sign_in`. InputError: the new password is not good enough.
        SignInRefusedError: nobody is signed in, or the old password or the code is wrong.
        """
        name = self._local(token)
        refuse_password(new, name)
        # Before the try is charged: else the right password would lock its own account.
        if old == new:
            raise InputError("the new password is the old one; choose another one")
        admitted = self._proved(name, old, address, shown, code)
        hashed = self._hasher.hashed(new)
        return self._desk.run(partial(self._changed, admitted, hashed))

    def whose(self, token: Token, *, does: bool = True) -> tuple[Account, Session] | None:
        """Return the account and session of a token; None if nobody is signed in by it.

        With `does` the session is kept alive. StoreError: it can't be read, so nobody is.
        """
        stored = self._book.whose(token.digest)
        now = self._clock.boot_time()
        if stored is None or stored[0].disabled or not stored[1].lives(now, self._idle_ms):
            return None
        account, session = stored
        if does and session.touch_due(now):
            # A full disk ends the session sooner, and shows the page all the same.
            with suppress(StoreError):
                self._desk.run(partial(_touched, token.digest, now))
            session = session.touched(now)
        return account, session

    def _local(self, token: Token) -> str:
        """Return the login of a person who signed in by a password of ours."""
        signed_in = self.whose(token)
        if signed_in is None or signed_in[0].origin is not Origin.LOCAL:
            raise SignInRefusedError
        return signed_in[0].name

    def fresh(self, session: Session) -> bool:
        """Tell whether the sign-in is recent enough to change accounts."""
        return session.fresh(self._clock.boot_time())

    def sessions(self, name: str) -> tuple[Open, ...]:
        """Return an account's live sessions, the most recently used first; raises StoreError."""
        now = self._clock.boot_time()
        sessions = (
            Open(digest.hex(), now.ms_since(live.began) // 1000, now.ms_since(live.seen) // 1000)
            for digest, live in self._book.sessions(name)
            if live.lives(now, self._idle_ms)
        )
        return tuple(sorted(sessions, key=lambda session: session.seen_s))

    def end(self, name: str, number: str) -> None:
        """End one of an account's sessions; do nothing if it has none of that number."""
        for digest, _ in self._book.sessions(name):
            if digest.hex() == number:
                self._desk.run(partial(_signed_out, digest))

    def sign_out(self, token: Token) -> None:
        """End a session; do nothing if there is none."""
        self._desk.run(partial(_signed_out, token.digest))

    def sign_out_everywhere(self, name: str) -> int:
        """End all sessions of an account; return how many there were."""
        return self._desk.run(lambda books, _moment: _all_signed_out(books, name))

    def _known_by(self) -> bytes:
        if self._key is None:
            self._key = self._desk.run(lambda books, _moment: Done(books.failures.key()))
        return self._key

    def _browser(self, typed: str, shown: str) -> str | None:
        if not shown:
            return None
        return browser_known(self._known_by(), login_name(typed) or NO_NAME, shown)

    def _proved(
        self, typed: str, password: Password, address: str, shown: str, code: str
    ) -> _Admitted:
        browser = self._browser(typed, shown)
        admitted = self._desk.run(partial(self._admitted, typed, address, browser))
        if isinstance(admitted, int):
            raise SignInWaitsError(admitted)
        compared = password if len(password.reveal()) <= LONGEST_PASSWORD else NO_PASSWORD
        fits = self._hasher.fits(admitted.hashed, compared) and compared is password
        if fits and admitted.factor is not None:
            used = factor_used(admitted.factor, code, self._clock.moment())
            fits, admitted = used is not None, replace(admitted, used=used)
        if not fits or admitted.refusal is not None:
            self._desk.run(partial(self._refused, admitted))
            raise SignInRefusedError
        return admitted

    def _admitted(
        self, typed: str, address: str, browser: str | None, books: Books, _moment: Moment
    ) -> Done[_Admitted | int]:
        """Charge a try, or return how many seconds to wait; tries during a wait are charged too."""
        name, now, failures = login_name(typed) or NO_NAME, self._clock.boot_time(), books.failures
        charged = (ACCOUNT, name) if browser is None else (BROWSER, f"{browser} {name}")
        host = caller(address) if browser is None else None
        own, whole = failures.find(*charged), NONE if host is None else failures.find(ADDRESS, host)
        waits_s, all_wait_s = account_wait_s(own, now), address_wait_s(whole, now)
        if host is not None and all_wait_s == 0:
            failures.keep(ADDRESS, host, address_charged(whole, now))
        if waits_s or all_wait_s:
            return Done(max(waits_s, all_wait_s))
        failures.keep(*charged, account_charged(own, now))
        account, hashed = books.accounts.find(name), books.accounts.password_of(name)
        factor = books.accounts.factor_of(name)
        return Done(_Admitted(name, charged, host, account, hashed, factor))

    def _refused(self, admitted: _Admitted, books: Books, _moment: Moment) -> Done[None]:
        wait_s = account_wait_s(books.failures.find(*admitted.charged), self._clock.boot_time())
        known = None if admitted.account is None else admitted.account.name
        return Done(None, sign_in_refused(known, admitted.refusal or Refusal.WRONG, wait_s))

    def _signed_in(
        self, admitted: _Admitted, fresh: str | None, books: Books, moment: Moment
    ) -> Done[Token]:
        account = self._still(admitted, books)
        self._forgive(admitted, books)
        if fresh is not None:
            books.accounts.keep_password(account.name, fresh)
        books.accounts.keep(account, moment)
        before, after = admitted.factor, admitted.used
        spent = before is not None and after is not None and before.recovery != after.recovery
        left = {"codes_left": len(after.recovery)} if after is not None and spent else {}
        return Done(self._begun(account.name, books), Event("signed_in", account.name, left))

    def _changed(
        self, admitted: _Admitted, hashed: str, books: Books, moment: Moment
    ) -> Done[Token]:
        account = self._still(admitted, books)
        self._forgive(admitted, books)
        books.accounts.keep(replace(account, must_change=False), moment)
        books.accounts.keep_password(account.name, hashed)
        books.sessions.end_all(account.name)
        changed = Event("account_password_set", account.name, {"account": account.name})
        return Done(self._begun(account.name, books), changed)

    def _still(self, admitted: _Admitted, books: Books) -> Account:
        """Return the account; refuse the try where it was changed during the comparison.

        This uses the code up: of two tries at once with the same code, the second is refused.
        """
        name, accounts = admitted.name, books.accounts
        account, before = accounts.find(name), (admitted.hashed, admitted.factor)
        now = accounts.password_of(name), accounts.factor_of(name)
        if account is None or account.disabled or now != before:
            raise SignInRefusedError
        if admitted.used is not None:
            accounts.keep_factor(name, admitted.used)
        return account

    def _enrolled(
        self, name: str, factor: SecondFactor, books: Books, _moment: Moment
    ) -> Done[Token]:
        books.accounts.keep_factor(name, factor)
        books.sessions.end_all(name)
        event = Event("account_factor_set", name, {"account": name})
        return Done(self._begun(name, books), event)

    def _forgive(self, admitted: _Admitted, books: Books) -> None:
        books.failures.keep(*admitted.charged, NONE)
        if admitted.address is not None:
            now, whole = self._clock.boot_time(), books.failures.find(ADDRESS, admitted.address)
            books.failures.keep(ADDRESS, admitted.address, address_refunded(whole, now))

    def _provided(self, claims: Claims, books: Books, moment: Moment) -> Done[Token | None]:
        name, role = login_name(claims.name), self._role(claims.groups)
        stored = None if name is None else books.accounts.find(name)
        theirs = stored is not None and stored.subject == claims.subject
        if name is None or role is None:
            return Done(None, sign_in_refused(name if theirs else None, Refusal.NO_ROLE))
        if stored is not None and (stored.disabled or not theirs):
            why = Refusal.DISABLED if theirs else Refusal.NAME_TAKEN
            return Done(None, sign_in_refused(name, why))
        shown = "".join(filter(str.isprintable, claims.shown)).strip()[:LONGEST_NAME] or name
        account = Account(name, shown, role, origin=Origin.PROVIDER, subject=claims.subject)
        books.accounts.keep(account, moment)
        if stored is None or stored.role is not role:
            # Sessions of an earlier role would get the new one unasked.
            books.sessions.end_all(name)
            details = {"account": name, "role": role.value, "signed_in": 1}
            return Done(self._begun(name, books), Event("account_changed", PROVIDER, details))
        return Done(self._begun(name, books), Event("signed_in", name))

    def _role(self, groups: frozenset[str]) -> Role | None:
        return next((role for group, role in self._roles if group in groups), None)

    def _begun(self, name: str, books: Books) -> Token:
        token, now = new_token(), self._clock.boot_time()
        books.sessions.add(token.digest, Session(name, now, now))
        return token


def _touched(digest: bytes, now: BootTime, books: Books, _moment: Moment) -> Done[None]:
    books.sessions.touch(digest, now)
    return Done(None)


def _signed_out(digest: bytes, books: Books, _moment: Moment) -> Done[None]:
    session = books.sessions.find(digest)
    if session is None:
        return Done(None)
    books.sessions.end(digest)
    return Done(None, Event("signed_out", session.account, {"sessions": 1}))


def _all_signed_out(books: Books, name: str) -> Done[int]:
    ended = books.sessions.end_all(name)
    return Done(ended, Event("signed_out", name, {"sessions": ended}) if ended else None)


# Sign-ins at the identity provider that are under way: few, in memory, for a few minutes.

KEPT_S = 600.0
"""Time enough to find a telephone and type a code."""

MOST = 500
"""The most sign-ins that are kept; beyond it the oldest one must begin again."""

MOST_OF_ONE = 8
"""The most of one address; beyond it the oldest one of that address must begin again."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A sign-in that was begun in a browser: `back` is the path of ours to show afterwards.

    The session that the browser had, if any, ends when the new one begins.
    """

    pending: Pending
    back: str = "/"
    session: Token | None = None


class PendingSignIns:
    """Keep the sign-ins that are under way, until a restart. Thread-safe."""

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, tuple[Begun, float, str]] = OrderedDict()
        self._lock = Lock()

    def keep(self, begun: Begun, now_s: float, address: str) -> Token:
        """Keep a sign-in; return the token by which the browser takes it again."""
        token, host = new_token(), caller(address)
        with self._lock:
            theirs = [digest for digest, (_, _, of) in self._kept.items() if of == host]
            if len(theirs) >= MOST_OF_ONE:
                del self._kept[theirs[0]]
            self._kept[token.digest] = begun, now_s, host
            while len(self._kept) > MOST:
                self._kept.popitem(last=False)
        return token

    def take(self, token: Token, now_s: float, *, stays: bool = False) -> Begun | None:
        """Return what was kept, once unless it `stays`; None where it is over or was never here."""
        with self._lock:
            found = self._kept.get if stays else self._kept.pop
            begun, begun_s, _ = found(token.digest, (None, now_s, ""))
        return begun if now_s - begun_s < KEPT_S else None
