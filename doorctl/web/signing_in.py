"""Signing in and out, by a password kept here.

An unknown login, a wrong password and a disabled account look the same and take the same time:
each is charged to the throttle, stretches one password and gets the same sentence.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Generic, TypeVar

from doorctl.accounts.account import (
    NOBODY,
    Account,
    Person,
    Refusal,
    SecondFactor,
    login_name,
)
from doorctl.accounts.password import LONGEST_PASSWORD, Password, PasswordHasher, refuse_password
from doorctl.accounts.second_factor import factor_begun, factor_used
from doorctl.accounts.session import Session, Token, new_token
from doorctl.accounts.throttle import (
    ACCOUNT,
    ADDRESS,
    BROWSER,
    NEWCOMER,
    NONE,
    Failures,
    account_charged,
    account_wait_s,
    address_charged,
    address_refunded,
    address_wait_s,
    browser_cookie,
    browser_known,
    caller,
    newcomer_charged,
    newcomer_may,
)
from doorctl.core.errors import (
    InputError,
    SignInRefusedError,
    SignInWaitsError,
    StoreError,
)
from doorctl.core.masked import Masked
from doorctl.core.moments import BootTime, Moment
from doorctl.lookup.app import App
from doorctl.privacy.audit import Action, Deed, Details
from doorctl.services.deeds import OpenBranch
from doorctl.store.accounts import AccountRecords, Books
from doorctl.store.sign_in import ArgonPasswords
from doorctl.web.branch_thread import BranchThread

ResultT = TypeVar("ResultT")

ResultT_co = TypeVar("ResultT_co", covariant=True)

MINUTE_MS = 60_000

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


@dataclass(frozen=True, slots=True)
class SignInDone(Generic[ResultT_co]):
    """The result of a change; what goes on the audit log, if anything does, and who did it."""

    result: ResultT_co
    action: Action | None = None
    by: str = ""
    details: Details = field(default_factory=dict)


class SigningIn:
    """Let staff in and out. Thread-safe; calls wait for disk or network.

    Slow work is done outside of the writer's thread.
    """

    def __init__(
        self,
        app: App,
        branch: BranchThread,
        *,
        hasher: PasswordHasher | None = None,
        records: AccountRecords | None = None,
    ) -> None:
        self._config, self._clock = app.config, app.clock
        self._branch = branch
        self._hasher = hasher or ArgonPasswords()
        self._records = records or AccountRecords(app.storage.branch_db)
        self._key: bytes | None = None

    def close(self) -> None:
        """Close what reads the file; idempotent."""
        self._records.close()

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
        return any(account.second_factor for account in self._records.every())

    def enrol(
        self, token: Token, secret: Masked[str], code: str
    ) -> tuple[Token, tuple[Masked[str], ...]]:
        """Give the caller's own account a second factor; all sessions end.

        Returns the new token and the recovery codes, which are shown only now. InputError: the code
        does not fit. SignInRefusedError: nobody is signed in by a password kept here.
        """
        name = self._local(token)
        factor, codes = factor_begun(secret, code, self._clock.moment())
        return self.run(partial(self._enrolled, name, factor)), codes

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
        return self.run(partial(self._signed_in, admitted, fresh))

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
        return self.run(partial(self._changed, admitted, hashed))

    def whose(self, token: Token, *, does: bool = True) -> Person | None:
        """Return who is signed in by a token; None for nobody.

        With `does` the session is kept alive. StoreError: it can't be read, so nobody is.
        """
        stored = self._records.whose(token.digest)
        now = self._clock.boot_time()
        if stored is None or stored[0].disabled or not self._lives(stored[1], now):
            return None
        account, session = stored
        if does and session.touch_due(now):
            # A full disk ends the session sooner, and shows the page all the same.
            with suppress(StoreError):
                self.run(partial(_touched, token.digest, now))
        required = self._config.web.second_factor == "required"
        lacks = required and account.has_password and not account.second_factor
        return Person(account, session.fresh(now), lacks and self.tells_time)

    def _lives(self, session: Session, now: BootTime) -> bool:
        return session.lives(now, self._config.signin.idle_min * MINUTE_MS)

    def _local(self, token: Token) -> str:
        """Return the login of a person who signed in by a password kept here."""
        person = self.whose(token)
        if person is None or not person.account.has_password:
            raise SignInRefusedError
        return person.account.name

    def sessions(self, name: str) -> tuple[Open, ...]:
        """Return an account's live sessions, the most recently used first; raises StoreError."""
        now = self._clock.boot_time()
        sessions = (
            Open(digest.hex(), now.ms_since(live.began) // 1000, now.ms_since(live.seen) // 1000)
            for digest, live in self._records.sessions(name)
            if self._lives(live, now)
        )
        return tuple(sorted(sessions, key=lambda session: session.seen_s))

    def end(self, name: str, number: str) -> None:
        """End one of an account's sessions; do nothing if it has none of that number."""
        for digest, _ in self._records.sessions(name):
            if digest.hex() == number:
                self.run(partial(_signed_out, digest))

    def sign_out(self, token: Token) -> None:
        """End a session; do nothing if there is none."""
        self.run(partial(_signed_out, token.digest))

    def sign_out_everywhere(self, name: str) -> int:
        """End all sessions of an account; return how many there were."""
        return self.run(lambda books, _moment: _all_signed_out(books, name))

    def run(self, use: Callable[[Books, Moment], SignInDone[ResultT]]) -> ResultT:
        """Make a change and put it on the audit log, or neither; return the result."""

        def used(opened: OpenBranch, moment: Moment) -> ResultT:
            with opened.audit.together(moment):
                done = use(opened.staff, moment)
                if done.action is not None:
                    opened.audit.append(Deed(done.action, details=done.details), done.by, moment)
            return done.result

        return self._branch.run(used)

    def _known_by(self) -> bytes:
        if self._key is None:
            self._key = self.run(lambda books, _moment: SignInDone(books.failures.key()))
        return self._key

    def _browser(self, typed: str, shown: str) -> str | None:
        if not shown:
            return None
        return browser_known(self._known_by(), login_name(typed) or NO_NAME, shown)

    def _proved(
        self, typed: str, password: Password, address: str, shown: str, code: str
    ) -> _Admitted:
        browser = self._browser(typed, shown)
        admitted = self.run(partial(self._admitted, typed, address, browser))
        if isinstance(admitted, int):
            raise SignInWaitsError(admitted)
        compared = password if len(password.reveal()) <= LONGEST_PASSWORD else NO_PASSWORD
        fits = self._hasher.fits(admitted.hashed, compared) and compared is password
        if fits and admitted.factor is not None:
            used = factor_used(admitted.factor, code, self._clock.moment())
            fits, admitted = used is not None, replace(admitted, used=used)
        if not fits or admitted.refusal is not None:
            self.run(partial(self._refused, admitted))
            raise SignInRefusedError
        return admitted

    def _admitted(
        self, typed: str, address: str, browser: str | None, books: Books, _moment: Moment
    ) -> SignInDone[_Admitted | int]:
        """Charge a try, or return how many seconds to wait; tries during a wait are charged too."""
        name, now, failures = login_name(typed) or NO_NAME, self._clock.boot_time(), books.failures
        charged = (ACCOUNT, name) if browser is None else (BROWSER, f"{browser} {name}")
        host = caller(address) if browser is None else None
        own, whole = failures.find(*charged), NONE if host is None else failures.find(ADDRESS, host)
        waits_s, all_wait_s = account_wait_s(own, now), address_wait_s(whole, now)
        if host is not None and all_wait_s == 0:
            failures.keep(ADDRESS, host, address_charged(whole, now))
        if waits_s and host is not None and self._may_all_the_same(name, whole, books):
            waits_s = 0
        if waits_s or all_wait_s:
            return SignInDone(max(waits_s, all_wait_s))
        failures.keep(*charged, account_charged(own, now))
        account, hashed = books.accounts.find(name), books.accounts.password_of(name)
        factor = books.accounts.factor_of(name)
        return SignInDone(_Admitted(name, charged, host, account, hashed, factor))

    def _may_all_the_same(self, name: str, address: Failures, books: Books) -> bool:
        """Tell whether an address may try a login that waits, and charge it."""
        now, newcomers = self._clock.boot_time(), books.failures.find(NEWCOMER, name)
        may = newcomer_may(address, newcomers, now)
        if may:
            books.failures.keep(NEWCOMER, name, newcomer_charged(newcomers, now))
        return may

    def _refused(self, admitted: _Admitted, books: Books, _moment: Moment) -> SignInDone[None]:
        wait_s = account_wait_s(books.failures.find(*admitted.charged), self._clock.boot_time())
        known = None if admitted.account is None else admitted.account.name
        return refusal(known, admitted.refusal or Refusal.WRONG, wait_s)

    def _signed_in(
        self, admitted: _Admitted, fresh: str | None, books: Books, moment: Moment
    ) -> SignInDone[Token]:
        account = self._still(admitted, books)
        self._forgive(admitted, books)
        if fresh is not None:
            books.accounts.keep_password(account.name, fresh)
        books.accounts.keep(account, moment)
        before, after = admitted.factor, admitted.used
        spent = before is not None and after is not None and before.recovery != after.recovery
        left = {"codes_left": len(after.recovery)} if after is not None and spent else {}
        return SignInDone(self.begun(account.name, books), Action.SIGNED_IN, account.name, left)

    def _changed(
        self, admitted: _Admitted, hashed: str, books: Books, moment: Moment
    ) -> SignInDone[Token]:
        account = self._still(admitted, books)
        self._forgive(admitted, books)
        books.accounts.keep(replace(account, must_change=False), moment)
        books.accounts.keep_password(account.name, hashed)
        return self._renewed(account.name, Action.ACCOUNT_PASSWORD_SET, books)

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
    ) -> SignInDone[Token]:
        books.accounts.keep_factor(name, factor)
        return self._renewed(name, Action.ACCOUNT_FACTOR_SET, books)

    def _renewed(self, name: str, action: Action, books: Books) -> SignInDone[Token]:
        """End all sessions of an account that its owner has changed, and begin a new one."""
        books.sessions.end_all(name)
        return SignInDone(self.begun(name, books), action, name, {"account": name})

    def _forgive(self, admitted: _Admitted, books: Books) -> None:
        books.failures.keep(*admitted.charged, NONE)
        if admitted.address is not None:
            now, whole = self._clock.boot_time(), books.failures.find(ADDRESS, admitted.address)
            books.failures.keep(ADDRESS, admitted.address, address_refunded(whole, now))

    def begun(self, name: str, books: Books) -> Token:
        """Begin a session of an account; return its token."""
        token, now = new_token(), self._clock.boot_time()
        books.sessions.add(token.digest, Session(name, now, now))
        return token


def _touched(digest: bytes, now: BootTime, books: Books, _moment: Moment) -> SignInDone[None]:
    books.sessions.touch(digest, now)
    return SignInDone(None)


def _signed_out(digest: bytes, books: Books, _moment: Moment) -> SignInDone[None]:
    session = books.sessions.find(digest)
    if session is None:
        return SignInDone(None)
    books.sessions.end(digest)
    return SignInDone(None, Action.SIGNED_OUT, session.account, {"sessions": 1})


def _all_signed_out(books: Books, name: str) -> SignInDone[int]:
    ended = books.sessions.end_all(name)
    return SignInDone(ended, Action.SIGNED_OUT if ended else None, name, {"sessions": ended})


def refusal(account: str | None, why: Refusal, wait_s: int = 0) -> SignInDone[None]:
    """Return a refused sign-in; `account` is None where there is no such account."""
    known = {} if account is None else {"account": account}
    details = {**known, "why": why.value, "wait_s": wait_s}
    return SignInDone(None, Action.SIGN_IN_REFUSED, NOBODY, details)
