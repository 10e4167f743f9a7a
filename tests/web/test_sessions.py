"""A second factor: whose codes count, how often, and what happens while the clock is in doubt."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.accounts.account import Account, Pending, Refusal, SecondFactor
from doorctl.accounts.password import Password
from doorctl.accounts.roles import Permission, Role
from doorctl.accounts.second_factor import RECOVERY_CODES, key_uri, new_secret
from doorctl.accounts.second_factor import factor_begun as begun
from doorctl.accounts.second_factor import factor_used as used_up
from doorctl.accounts.session import IDLE_MS, LONGEST_MS, TOUCH_MS, Session, Token, new_token
from doorctl.accounts.throttle import WAIT_AFTER_S
from doorctl.config import Config
from doorctl.core.errors import InputError, SignInRefusedError, SignInWaitsError
from doorctl.core.masked import Masked
from doorctl.core.moments import BootTime, ClockState, Moment
from doorctl.extras.oidc.sign_ins_pending import (
    KEPT_S,
    LONGEST_BACK,
    MOST_TAKEN,
    Begun,
    PendingSignIns,
)
from doorctl.privacy.audit import Action
from doorctl.services import deeds
from doorctl.web.refusals import AT_ONCE, MOST_COUNTED, REFILL_S, Refusals
from doorctl.web.signing_in import SigningIn
from tests.e2e.door import COMMANDS
from tests.fakes.accounts import MemoryThread, refused
from tests.services.branches import initialised
from tests.web.test_signing_in import CLAIMS, HERE, NEW, RIGHT, ROLES, WRONG, House

BEGAN = BootTime("boot-1", 1_000_000)
SESSION = Session("grethe", BEGAN, BEGAN)


def after(ms: int, boot_id: str = "boot-1") -> BootTime:
    """Return a time so long after the session began."""
    return BootTime(boot_id, BEGAN.ms + ms)


@pytest.mark.parametrize(
    ("seen_ms", "now_ms", "lives"),
    [
        (0, 0, True),
        (0, IDLE_MS - 1, True),
        (0, IDLE_MS, False),
        (LONGEST_MS - 1, LONGEST_MS - 1, True),
        (LONGEST_MS - 1, LONGEST_MS, False),
    ],
)
def test_a_session_ends_by_itself(seen_ms: int, now_ms: int, lives: bool) -> None:
    """After half an hour of nothing, and after a working day of anything."""
    assert Session("grethe", BEGAN, after(seen_ms)).lives(after(now_ms)) is lives


def test_a_restart_ends_every_session() -> None:
    """Even where the new boot's clock stands as the old one's did."""
    assert not SESSION.lives(after(0, "boot-2"))


def test_that_somebody_is_there_is_stored_once_a_minute() -> None:
    """Not at each page, for the card wears out."""
    assert not SESSION.touch_due(after(TOUCH_MS - 1))
    assert SESSION.touch_due(after(TOUCH_MS))


def test_a_token_is_long_new_and_not_shown() -> None:
    """256 bits, each time others; what is stored of it can't be shown to sign in."""
    tokens = {new_token().reveal() for _ in range(50)}

    assert len(tokens) == 50
    assert all(len(one) == 43 for one in tokens)
    assert "xyz" not in repr(Token("xyz"))
    assert len(Token("xyz").digest) == 32


def refusals_of(thread: MemoryThread) -> Refusals:
    """Return what counts them."""
    return Refusals(thread, thread.clock)


def test_the_first_ones_are_on_record_and_then_one_an_hour() -> None:
    """Whoever asks all day leaves a few entries, and the next one tells how many were left out."""
    refusals = refusals_of(MemoryThread())
    first = [refusals.due("kaj", 0.0) for _ in range(AT_ONCE + 3)]
    later = [refusals.due("kaj", REFILL_S), refusals.due("kaj", REFILL_S + 1)]

    assert first == [0] * AT_ONCE + [None] * 3
    assert later == [3, None]
    day = [refusals.due("kaj", REFILL_S + second) for second in range(2, 24 * 3600)]
    assert sum(one is not None for one in day) == 23


def test_who_was_refused_what_is_on_record() -> None:
    """The account, the route as the code has it, and what it lacks."""
    thread = MemoryThread()
    refusals = refusals_of(thread)
    for _ in range(1000):
        refusals.note("kaj", "/bans/{number}/lift", Permission.CHANGE_BANS)
    thread.clock.advance(REFILL_S)
    refusals.note("kaj", "/audit", Permission.SEE_AUDIT)

    first: dict[str, int | str] = {"page": "/bans/{number}/lift", "needs": "change_bans"}
    last: dict[str, int | str] = {"page": "/audit", "needs": "see_audit"}
    assert thread.events == [
        *[(Action.PAGE_REFUSED, "kaj", first)] * AT_ONCE,
        (Action.PAGE_REFUSED, "kaj", last | {"left_out": 1000 - AT_ONCE}),
    ]


def test_after_a_quiet_night_there_is_room_again() -> None:
    """For as many as at first, and not for more."""
    refusals = refusals_of(MemoryThread())
    for _ in range(AT_ONCE):
        refusals.due("kaj", 0.0)
    again = [refusals.due("kaj", 1000 * REFILL_S) for _ in range(AT_ONCE + 1)]

    assert again == [0] * AT_ONCE + [None]


def test_only_so_many_accounts_are_counted() -> None:
    """A whole municipality that may sign in fills no memory."""
    refusals = refusals_of(MemoryThread())
    for _ in range(AT_ONCE + 1):
        refusals.due("kaj", 0.0)
        refusals.due("grethe", 0.0)
    for number in range(MOST_COUNTED - 1):
        refusals.due(f"name-{number}", 0.0)

    assert len(refusals._of) == MOST_COUNTED  # noqa: SLF001 - what is kept shows nowhere else
    assert refusals.due("grethe", 0.0) is None
    assert refusals.due("kaj", 0.0) == 0


def sent_away(state: str = "s") -> Begun:
    """Return what a browser was sent away with."""
    return Begun(Pending(Masked(state), Masked("n"), Masked("v")), "/log")


def test_what_was_begun_counts_once_and_not_for_long() -> None:
    """A second use of the cookie, a late one, and one that nobody was given find nothing."""
    kept = PendingSignIns()
    first, late = kept.keep(sent_away(), 0.0), kept.keep(sent_away(), 0.0)

    assert kept.take(first, 1.0) == sent_away()
    assert kept.take(first, 1.0) is None
    assert kept.take(late, KEPT_S) is None
    assert kept.take(new_token(), 1.0) is None


@given(
    st.builds(
        Begun,
        st.builds(Pending, *[st.text().map(Masked)] * 3),
        st.text(max_size=LONGEST_BACK // 4),
        st.none() | st.text().map(Token),
    ),
    st.floats(0, 1e9),
)
def test_what_was_begun_comes_back_as_it_was(begun: Begun, now_s: float) -> None:
    """Whatever is in it; the browser can read nothing of it, and it fits in a cookie."""
    kept = PendingSignIns()
    token = kept.keep(begun, now_s)

    assert kept.take(token, now_s) == begun
    assert set(token.reveal()) <= set("0123456789abcdef")


def test_a_longer_way_back_leads_to_the_first_page() -> None:
    """Browsers drop a cookie of more than 4096 bytes, and with it the sign-in."""
    kept = PendingSignIns()
    secrets, session = [Masked("x" * 43)] * 3, new_token()
    for length in (LONGEST_BACK, LONGEST_BACK + 1, 9000):
        begun = Begun(Pending(*secrets), "/" + "b" * (length - 1), session)
        token = kept.keep(begun, 0.0)
        assert len(token.reveal()) < 3500
        taken = kept.take(token, 0.0)
        assert taken is not None
        assert taken.back == (begun.back if length == LONGEST_BACK else "/")


@given(st.data())
def test_what_was_changed_or_sealed_elsewhere_is_nothing(data: st.DataObject) -> None:
    """Any text may come in that cookie; one of before a restart counts no more."""
    kept = PendingSignIns()
    right = kept.keep(sent_away(), 0.0).reveal()
    at = data.draw(st.integers(0, len(right) - 1))
    changed = right[:at] + ("0" if right[at] != "0" else "1") + right[at + 1 :]

    for text in (changed, right[:at], data.draw(st.text()), right.upper() + "00"):
        assert kept.take(Token(text), 0.0) is None
    assert PendingSignIns().take(Token(right), 0.0) is None
    assert kept.take(Token(right), 0.0) == sent_away()
    assert kept.take(Token(right.upper()), 0.0) is None
    assert kept.take(Token(f" {right}"), 0.0) is None


def test_looking_uses_nothing_up() -> None:
    """What was sent_away can be looked at again and again, for as long as it counts."""
    kept = PendingSignIns()
    token = kept.keep(sent_away(), 0.0)

    assert kept.take(token, 1.0, stays=True) == kept.take(token, 1.0, stays=True) == sent_away()
    assert kept.take(token, KEPT_S, stays=True) is None
    assert kept.take(new_token(), 1.0, stays=True) is None
    assert kept.take(token, 1.0) == sent_away()
    assert kept.take(token, 1.0, stays=True) is None


def test_nobody_pushes_others_out() -> None:
    """Bug (second penetration test, 2.8): 1 040 begins from 250 addresses pushed the first one out.

    As little as the memory of those that were taken, which is bounded.
    """
    kept = PendingSignIns()
    mine = kept.keep(sent_away(), 0.0)
    for one in range(MOST_TAKEN + 40):
        assert kept.take(kept.keep(sent_away(str(one)), 0.0), 0.0) is not None

    assert kept.take(mine, 1.0) == sent_away()
    assert kept.take(mine, 1.0) is None
    assert len(kept._taken) == MOST_TAKEN  # noqa: SLF001 - what is kept shows nowhere else


OF_THE_RFC = Masked("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")
"""The secret of RFC 6238's appendix B: "12345678901234567890"."""

STEP_S = 30


def at(seconds: float, state: ClockState = ClockState.TRUSTED) -> Moment:
    """Return a moment by Unix time."""
    local = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    return Moment(local, local, state)


class Enrolled(House):
    """A branch whose one account has a second factor."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.secret = new_secret()
        token = self.door.sign_in("grethe", RIGHT, HERE)
        self.token, codes = self.door.enrol(token, self.secret, self.code())
        self.codes = tuple(one.reveal() for one in codes)
        self.desk.clock.advance(2 * STEP_S)

    def code(self, steps: int = 0) -> str:
        """Return what the app shows, so many steps from now."""
        return pyotp.TOTP(self.secret.reveal()).at(self.desk.clock.wall, counter_offset=steps)

    def enter(self, code: str, password: Password = RIGHT) -> Token:
        """Sign in with a code."""
        return self.door.sign_in("grethe", password, HERE, code=code)

    def kept(self) -> SecondFactor:
        """Return what is stored."""
        found = self.desk.books.accounts.factor_of("grethe")
        assert found is not None
        return found


@pytest.fixture
def house() -> Enrolled:
    """A branch."""
    return Enrolled()


@pytest.mark.parametrize(
    ("seconds", "code"),
    [
        (59, "287082"),
        (1111111109, "081804"),
        (1111111111, "050471"),
        (1234567890, "005924"),
        (2000000000, "279037"),
        (20000000000, "353130"),
    ],
)
def test_codes_are_those_of_rfc_6238(seconds: int, code: str) -> None:
    """The last six digits of each in its appendix B, with blanks as apps show them."""
    factor = SecondFactor(OF_THE_RFC)

    assert used_up(factor, f"{code[:3]} {code[3:]}", at(seconds)) == replace(
        factor, step=seconds // STEP_S
    )
    assert used_up(factor, code[::-1], at(seconds)) is None


@given(st.integers(10, 10**8), st.integers(-4, 4), st.integers(0, 29), st.integers(-5, 5))
def test_a_code_counts_in_its_window_and_once(step: int, off: int, into: int, used: int) -> None:
    """Of a step, the one before and the one after; and none that is not later than the last."""
    code = pyotp.TOTP(OF_THE_RFC.reveal()).at((step + off) * STEP_S)
    others = {pyotp.TOTP(OF_THE_RFC.reveal()).at((step + one) * STEP_S) for one in (-1, 0, 1)}
    factor = SecondFactor(OF_THE_RFC, step + used)
    now = at(step * STEP_S + into)
    after = used_up(factor, code, now)

    if -1 <= off <= 1 and off > used:
        assert after == replace(factor, step=step + off)
        assert used_up(after, code, now) is None
    elif code not in others or -1 <= off <= 1:
        assert after is None


@given(st.text(max_size=40))
def test_whatever_else_is_typed_is_no_code(typed: str) -> None:
    """It is refused and never a fault, whatever the clock says."""
    factor, _ = begun(OF_THE_RFC, "287082", at(59))

    for state in ClockState:
        assert used_up(factor, typed, at(3000, state)) is None


def test_recovery_codes_are_long_and_each_counts_once() -> None:
    """120 random bits, however they are typed; what is stored of them does not tell them."""
    factor, codes = begun(OF_THE_RFC, "287082", at(59))
    texts = [one.reveal() for one in codes]

    assert len(set(texts)) == RECOVERY_CODES == len(factor.recovery)
    assert all(len(one.replace("-", "")) == 24 for one in texts)
    assert not any(one.encode() in mark for one in texts for mark in factor.recovery)
    for left, one in zip(reversed(range(RECOVERY_CODES)), texts, strict=True):
        typed = one.upper().replace("-", " ")
        after = used_up(factor, typed, at(500, ClockState.UNTRUSTED))
        assert after is not None
        assert len(after.recovery) == left
        assert used_up(after, one, at(500)) is None
        factor = after


def test_nothing_begins_without_a_right_code() -> None:
    """Nor while the clock is in doubt; and a key that a form brings back is one of ours."""
    for secret, code, moment in (
        (OF_THE_RFC, "287083", at(59)),
        (OF_THE_RFC, "287082", at(59, ClockState.UNTRUSTED)),
    ):
        with pytest.raises(InputError):
            begun(secret, code, moment)
    assert new_secret() != new_secret()
    assert new_secret(OF_THE_RFC.reveal()) == OF_THE_RFC
    for brought in ("GEZDGNBV", "1" * 32, OF_THE_RFC.reveal() + "A"):
        assert new_secret(brought).reveal() not in {brought, ""}


def test_the_picture_says_whose_and_where() -> None:
    """So that two branches in one app are told apart."""
    found = pyotp.parse_uri(key_uri(OF_THE_RFC, "grethe", "Øst: bibliotek").reveal())

    assert isinstance(found, pyotp.TOTP)
    assert (found.name, found.issuer) == ("grethe", "Øst: bibliotek")
    assert found.secret == OF_THE_RFC.reveal()


def test_who_has_a_second_factor_needs_both(house: Enrolled) -> None:
    """The password alone, and the code with another password, are the one refusal."""
    for password, code in ((RIGHT, ""), (RIGHT, "000000"), (WRONG, house.code())):
        with pytest.raises(SignInRefusedError):
            house.enter(code, password)
    assert house.desk.events[-3:] == [refused("grethe", Refusal.WRONG)] * 3
    found = house.door.whose(house.enter(house.code()))

    assert found is not None
    assert found.account.second_factor
    assert house.desk.events[-1] == (Action.SIGNED_IN, "grethe", {})


def test_of_two_at_once_with_one_code_one_gets_in(house: Enrolled) -> None:
    """It is used up in the same transaction that begins the session."""
    code, tokens = house.code(), []

    def meanwhile() -> None:
        house.hasher.meanwhile = lambda: None
        tokens.append(house.enter(code))

    house.hasher.meanwhile = meanwhile
    with pytest.raises(SignInRefusedError):
        house.enter(code)
    assert len(tokens) == 1
    assert house.desk.events[2:] == [(Action.SIGNED_IN, "grethe", {})]


def test_wrong_codes_are_counted_as_wrong_passwords_are(house: Enrolled) -> None:
    """Who has the password guesses no code: the same waits, by the same throttle."""
    for _ in range(min(WAIT_AFTER_S)):
        with pytest.raises(SignInRefusedError):
            house.enter("000000")

    with pytest.raises(SignInWaitsError):
        house.enter(house.code())
    house.desk.clock.advance(max(WAIT_AFTER_S.values()))
    house.enter(house.code())


def test_where_the_key_is_lost_recovery_codes_let_in(house: Enrolled) -> None:
    """The file with what secrets are sealed with may be missing after a restore."""
    house.desk.key.unlink()

    with pytest.raises(SignInRefusedError):
        house.enter(house.code())
    house.enter(house.codes[0])


def test_a_new_first_password_leaves_the_second_factor(house: Enrolled) -> None:
    """Whoever has a manager give out another password still needs the telephone."""
    house.desk.change(deeds.set_password("grethe", house.hasher.hashed(NEW), must_change=True))
    with pytest.raises(SignInRefusedError):
        house.enter("", NEW)
    house.enter(house.code(), NEW)


def test_setting_it_up_ends_all_other_sessions(house: Enrolled) -> None:
    """And whoever sets it up again has other codes; only who is signed in here by a password.

    Bug (penetration test): whoever had a member of staff's password was signed in: a local
    account had nothing beside it.
    """
    fresh, code = new_secret(), pyotp.TOTP
    token, codes = house.door.enrol(
        house.token, fresh, code(fresh.reveal()).at(house.desk.clock.wall)
    )

    event = (Action.ACCOUNT_FACTOR_SET, "grethe", {"account": "grethe"})
    assert house.desk.events[1:] == [event] * 2
    assert house.door.whose(house.token) is None
    assert house.door.whose(token) is not None
    assert not {one.reveal() for one in codes} & set(house.codes)
    with pytest.raises(SignInRefusedError):
        house.door.enrol(new_token(), fresh, "000000")
    with pytest.raises(InputError):
        house.door.enrol(token, fresh, "")


def test_who_has_to_have_one_and_who_has(house: Enrolled) -> None:
    """Local accounts without one, where the branch requires it and the clock allows it."""
    strict = house.desk.signing_in(house.hasher, required=True)
    house.desk.add(Account("kaj", "Kaj", Role.STAFF), "hest batteri")
    without = strict.sign_in("kaj", RIGHT, HERE)

    def must(token: Token, door: SigningIn = strict) -> bool:
        found = door.whose(token)
        assert found is not None
        return found.must_enrol

    assert must(without)
    assert not must(without, house.door)
    assert not must(house.desk.providing(strict, ROLES).sign_in(CLAIMS))
    assert not must(house.token)
    house.desk.clock.vouched = False
    house.desk.clock.reboot("boot-2")
    assert not must(strict.sign_in("kaj", RIGHT, HERE))


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A branch."""
    return initialised(tmp_path)


def staff(config: Config, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run ``doorctl staff`` as root does."""
    path = config.storage.directory / "doorctl.toml"
    path.write_text(
        f"""
        [branch]
        name = "Prøvebiblioteket"
        id = "proeve"
        [storage]
        directory = "{config.storage.directory}"
        [reader]
        port = "/dev/null"
        """,
        encoding="utf-8",
    )
    return COMMANDS.run(["staff", *words, "--config", str(path)], stdin=stdin)


def test_the_first_manager_comes_from_the_command_line(config: Config) -> None:
    """A password by stdin, and never an argument; what is refused is one line and exit code 1."""
    assert "no account" in staff(config, "list").stdout
    short = staff(config, "add", "grethe", "--role", "manager", "--password-stdin", stdin="kort\n")
    assert (short.returncode, short.stdout) == (1, "")
    assert "at least 12" in short.stderr
    silent = staff(config, "add", "grethe", "--role", "manager", stdin="hest batteri klamme\n")
    assert "--password-stdin" in silent.stderr

    words = ("add", "Grethe", "--role", "manager", "--shown", "Vagten", "--password-stdin")
    added = staff(config, *words, stdin="hest batteri klamme\n")

    assert (added.returncode, added.stderr) == (0, "")
    assert "klamme" not in added.stdout
    listed = json.loads(staff(config, "list", "--json").stdout)
    assert listed == [
        {
            "name": "grethe",
            "shown": "Vagten",
            "role": "manager",
            "disabled": False,
            "must_change": False,
            "origin": "local",
            "second_factor": False,
        }
    ]
    last = staff(config, "disable", "grethe")
    assert (last.returncode, last.stderr.count("\n")) == (1, 1)
    assert "last local" in last.stderr
