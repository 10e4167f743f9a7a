"""Changes of branch.db over a real Unix socket: each comes out as if the writer had been called."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from doorctl.access.calendar import ALL_DAY, DaySource, Mode, ModeSpan, Span, StoredDay, StoredWeek
from doorctl.access.day import Override
from doorctl.access.rights import Ban, Pass, PassKind
from doorctl.accounts.account import Account, Origin, SecondFactor
from doorctl.accounts.roles import Role
from doorctl.accounts.session import Session
from doorctl.accounts.throttle import NONE, account_charged
from doorctl.core.alarm_records import AlarmRecord
from doorctl.core.alarms import Source
from doorctl.core.errors import InputError, StoreError
from doorctl.core.masked import Masked
from doorctl.core.moments import BootTime, ClockState, Moment
from doorctl.privacy.audit import Action, Deed
from doorctl.privacy.audit_chain import EMPTY
from doorctl.privacy.subject import Decision, Subject
from doorctl.rpc.client import ask
from doorctl.rpc.messages import Line
from doorctl.services import deeds
from doorctl.services.deeds import DEEDS, MARGIN_S, OpenBranch, Request, ask_web, branch_answers
from doorctl.store.accounts import Books
from doorctl.store.alarms import StoredAlarms
from tests.fakes.accounts import carried_out, memory_books
from tests.fakes.clock import FakeClock
from tests.fakes.memory_store import MemoryAudit, MemoryBranch
from tests.fakes.waiting import LIMIT_S
from tests.rpc.serving import serving

BY = "grethe"
NOW_S = 1000.0
LOCAL = datetime(2026, 5, 4, 14, tzinfo=ZoneInfo("Europe/Copenhagen"))
NOW = Moment(LOCAL, LOCAL.astimezone(UTC), ClockState.TRUSTED)
DAY = timedelta(days=1)
TODAY = LOCAL.date()
KEY = bytes(range(16))
BAN = Ban(
    number=0,
    reason='røg; "twice"',
    since=LOCAL,
    until=LOCAL + 30 * DAY,
    by="staff-7",
    branches=frozenset({"oest", "*"}),
    note="Kære låner,\nlæs dette.",
)
PASS = Pass(
    number=0,
    kind=PassKind.ASSOCIATION,
    first_day=TODAY,
    last_day=TODAY + 60 * DAY,
    weekdays=frozenset({1, 3}),
    from_minute=18 * 60,
    to_minute=26 * 60,
    more_times=(Span(60, 120),),
    outside_hours=True,
    pin_check=bytes(range(32)),
    companions_max=9,
    label="Skakklubben",
)
CHRISTMAS = StoredDay(date(2026, 12, 24), (ModeSpan(Mode.STAFFED, 600, 720), *ALL_DAY), "Juleaften")
WHO = Subject(frozenset({KEY}), "1001")
LOOK = Deed(Action.PATRON_EXPLAINED, (KEY, KEY[::-1]), "1001", "a call", {"number": 7, "day": "x"})
KAJ = Account("kaj", "Kaj", Role.TECHNICIAN, must_change=True)
ADD_KAJ = deeds.add_account(KAJ, "$argon2id$x")
ADD_MIA = deeds.add_account(Account("mia", "Mia", Role.MANAGER), "$argon2id$y")
STALLED = AlarmRecord("stalled", Source.DOOR, LOCAL, LOCAL, 1, "")
LOCKDOWN = Override(Mode.LOCKDOWN, LOCAL + DAY, "threat", "staff-7")


@pytest.fixture
def memory() -> MemoryBranch:
    """The branch that web holds."""
    return MemoryBranch()


@pytest.fixture
def audit(memory: MemoryBranch) -> MemoryAudit:
    """Its audit log."""
    return MemoryAudit(memory)


@pytest.fixture
def staff() -> Books:
    """Its accounts: one, with a second factor."""
    books = memory_books()
    books.accounts.keep(Account("lea", "Lea", Role.MANAGER), NOW)
    books.accounts.keep_factor("lea", SecondFactor(Masked("GEZDGNBVGY3TQOJQ")))
    return books


others = staff


@pytest.fixture
def web(memory: MemoryBranch, audit: MemoryAudit, staff: Books, tmp_path: Path) -> Iterator[Path]:
    """A socket on which web answers."""

    def run(job: Callable[[OpenBranch, Moment], Any]) -> Any:
        return job(OpenBranch(memory, memory, audit, staff), NOW)

    with serving(tmp_path / "web.sock", branch_answers(run, lambda: NOW_S)) as path:
        yield path


REQUESTS: tuple[tuple[Request[Any], ...], ...] = (
    (deeds.add_ban(BAN, KEY, "1001"),),
    (deeds.add_ban(replace(BAN, until=None, note=""), None, "1001"),),
    (deeds.add_ban(BAN, KEY, None), deeds.lift_ban(1)),
    (deeds.add_ban(BAN, KEY, None), deeds.change_ban(replace(BAN, number=1, until=None))),
    (deeds.issue_pass(PASS, KEY),),
    (deeds.issue_pass(PASS, KEY), deeds.change_pass(replace(PASS, number=1, label="Dam"))),
    (deeds.issue_pass(replace(PASS, pin_check=None), KEY), deeds.revoke_pass(1)),
    (
        deeds.issue_pass(replace(PASS, pin_check=None, needs_pin=False, code_digits=8), KEY),
        deeds.revoke_pass(1),
    ),
    (deeds.end_alarm("stalled"),),
    (deeds.set_mode(LOCKDOWN),),
    (deeds.set_mode(LOCKDOWN), deeds.end_mode(lockdown=True)),
    (deeds.set_day(CHRISTMAS),),
    (deeds.set_day(CHRISTMAS), deeds.clear_day(CHRISTMAS.day)),
    (
        deeds.set_day(CHRISTMAS, (replace(CHRISTMAS, day=CHRISTMAS.day + DAY),)),
        deeds.clear_day(CHRISTMAS.day - DAY, (CHRISTMAS.day,)),
    ),
    (deeds.set_week(StoredWeek((ALL_DAY,) * 7), None),),
    (deeds.note(LOOK),),
    (deeds.subject_restrict(WHO, BY, "sag 7"),),
    (deeds.subject_restrict(WHO, BY, ""), deeds.subject_unrestrict(WHO, "sag 8")),
    (deeds.subject_object(WHO, BY, "sag 9"),),
    (
        deeds.subject_object(WHO, BY, "sag 9"),
        deeds.subject_decide(WHO, Decision.REJECTED, "grounds"),
    ),
    (ADD_KAJ,),
    (ADD_KAJ, ADD_MIA, deeds.set_role("kaj", Role.DPO)),
    (ADD_KAJ, ADD_MIA, deeds.disable_account("kaj")),
    (ADD_KAJ, deeds.enable_account("kaj")),
    (ADD_KAJ, deeds.set_password("kaj", "$argon2id$z", must_change=True)),
    (ADD_KAJ, deeds.sign_out_everywhere("kaj")),
    (ADD_KAJ, deeds.reset_factor("lea")),
)


FIXED = {
    "add_ban": ("ban row_key patron_ref", "ban_added", "number"),
    "change_ban": ("ban", "ban_changed", "number"),
    "change_pass": ("held", "pass_changed", "number kind"),
    "lift_ban": ("number", "ban_lifted", "number"),
    "issue_pass": ("new row_key", "pass_issued", "number kind"),
    "revoke_pass": ("number", "pass_revoked", "number"),
    "end_alarm": ("kind", "alarm_ended", "alarm"),
    "set_mode": ("override before", "mode_set", "mode until"),
    "end_mode": ("by before lockdown", "mode_ended", "mode"),
    "set_day": ("day more", "calendar_changed", "day"),
    "clear_day": ("day more", "calendar_changed", "day cleared"),
    "set_week": (
        "week before",
        "week_changed",
        "monday tuesday wednesday thursday friday saturday sunday",
    ),
    "note": ("deed", "patron_explained", "number day"),
    "subject_restrict": ("subject by why", "subject_restricted", ""),
    "subject_unrestrict": ("subject why", "subject_unrestricted", ""),
    "subject_object": ("subject by why", "subject_objected", ""),
    "subject_decide": ("subject decision why", "objection_decided", "decision"),
    "add_account": ("account hashed", "account_added", "account role"),
    "set_role": ("name role", "account_changed", "account role"),
    "disable_account": ("name", "account_disabled", "account"),
    "enable_account": ("name", "account_enabled", "account"),
    "set_password": ("name hashed must_change", "account_password_set", "account"),
    "reset_factor": ("name", "account_factor_reset", "account"),
    "sign_out_everywhere": ("name", "signed_out", "account sessions"),
}
"""By its name on the wire: the names of a request's arguments, its action and its details."""


@pytest.mark.parametrize("requests", REQUESTS, ids=lambda some: some[-1].deed.name)
def test_a_change_is_the_same_as_at_the_writer_itself(
    requests: tuple[Request[Any], ...],
    web: Path,
    memory: MemoryBranch,
    staff: Books,
    others: Books,
) -> None:
    """Each field arrives, whatever comes of it comes back, and the branch is left the same.

    The names on the wire and on record are fixed: web and commands of two versions understand each
    other, and so does a reader of the log.
    """
    other, questions = MemoryBranch(), list[Line]()
    if requests[-1].deed.name == "end_alarm":
        for each in (memory, other):
            StoredAlarms(each).hear(STALLED, NOW)

    def passed_on(question: Line) -> Mapping[str, Any]:
        questions.append(question)
        return ask(web, Line(question.ask, question.about), timeout_s=LIMIT_S)

    with serving(web.with_name("between.sock"), dict.fromkeys(FIXED, passed_on)) as path:
        there = [
            ask_web(path, request, by=BY, timeout_s=LIMIT_S, monotonic_s=NOW_S)
            for request in requests
        ]
    branch = OpenBranch(other, other, MemoryAudit(), others)
    here = [request.run(branch, BY, NOW) for request in requests]

    assert there == here
    assert memory.every_ban() == other.every_ban()
    assert memory.every_pass() == other.every_pass()
    assert memory.calendar() == other.calendar()
    assert memory.override() == other.override()
    assert memory.restricted(KEY, "1001") == other.restricted(KEY, "1001")
    assert staff.accounts.every() == others.accounts.every()
    for one in staff.accounts.every():
        assert staff.accounts.password_of(one.name) == others.accounts.password_of(one.name)
        assert staff.accounts.factor_of(one.name) == others.accounts.factor_of(one.name)
    entry, asked = MemoryAudit(memory).entries()[-1], questions[-1]
    names, action, details = FIXED[asked.ask]
    assert list(asked.about) == ["request", "by", "before_s"]
    assert list(asked.about["request"]) == names.split()
    assert (entry.deed.action.value, {*entry.deed.details}) == (action, {*details.split()})


def test_the_form_of_values_on_the_wire_is_fixed(tmp_path: Path) -> None:
    """Bytes in base64, times in UTC, words by their values; and what is empty stands there too."""
    asked: list[Line] = []
    requests: tuple[Request[Any], ...] = (deeds.issue_pass(PASS, KEY), deeds.note(LOOK))
    answers = {"issue_pass": _kept(asked), "note": _kept(asked)}
    with serving(tmp_path / "web.sock", answers) as path:
        for request in requests:
            with pytest.raises(StoreError):
                ask_web(path, request, by=BY, timeout_s=LIMIT_S, monotonic_s=NOW_S)

    issue, note = (msgspec.json.encode(one).decode() for one in asked)
    assert issue == (
        '{"ask":"issue_pass","about":{"request":{"new":{"number":0,"kind":"association",'
        '"first_day":"2026-05-04","last_day":"2026-07-03","weekdays":[1,3],"from_minute":1080,'
        '"to_minute":1560,"outside_hours":true,"needs_pin":true,'
        '"pin_check":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=","code_digits":null,'
        '"companions_max":9,"label":"Skakklubben","more_times":[{"opens":60,"closes":120}]},'
        '"row_key":"AAECAwQFBgcICQoLDA0ODw=="},"by":"grethe","before_s":1115.0}}'
    )
    assert note == (
        '{"ask":"note","about":{"request":{"deed":{"action":"patron_explained",'
        '"cards":["AAECAwQFBgcICQoLDA0ODw==","Dw4NDAsKCQgHBgUEAwIBAA=="],"patron_ref":"1001",'
        '"why":"a call","details":{"number":7,"day":"x"}}},"by":"grethe","before_s":1115.0}}'
    )


def _kept(asked: list[Line]) -> Callable[[Line], Mapping[str, Any]]:
    def keep(question: Line) -> Mapping[str, Any]:
        asked.append(Line(question.ask, question.about))
        raise StoreError("kept")

    return keep


def test_every_deed_is_tried_above() -> None:
    """And has its fixed names."""
    asked = {request.deed.name for requests in REQUESTS for request in requests}

    assert asked == set(DEEDS) == set(FIXED)


def test_a_change_is_on_record_with_who_asked(web: Path, audit: MemoryAudit) -> None:
    """Who, what, about whom and why; and no value of a person among the details."""
    made: tuple[Request[Any], ...]
    made = (deeds.add_ban(BAN, KEY, "1001"), deeds.lift_ban(1), deeds.note(LOOK))
    for request in made:
        ask_web(web, request, by=BY, timeout_s=LIMIT_S, monotonic_s=NOW_S)

    assert [(one.by, one.deed) for one in audit.entries()] == [
        (BY, Deed(Action.BAN_ADDED, (KEY,), "1001", BAN.reason, {"number": 1})),
        (BY, Deed(Action.BAN_LIFTED, details={"number": 1})),
        (BY, LOOK),
    ]


@pytest.mark.parametrize(
    "request_",
    [deeds.lift_ban(7), deeds.end_alarm("test"), deeds.clear_day(TODAY), deeds.reset_factor("kaj")],
    ids=lambda one: one.deed.name,
)
def test_a_refusal_is_the_writers_own(
    request_: Request[Any], web: Path, memory: MemoryBranch, audit: MemoryAudit
) -> None:
    """With the same words, as the caller's fault; nothing is changed, so nothing is on record."""
    with pytest.raises(InputError) as there:
        ask_web(web, request_, by=BY, timeout_s=LIMIT_S, monotonic_s=NOW_S)
    with pytest.raises(InputError) as here:
        request_.run(OpenBranch(memory, memory, audit, memory_books()), BY, NOW)

    assert str(there.value) == str(here.value)
    assert memory.version() == 0
    assert audit.head() == EMPTY


@pytest.mark.parametrize("asked_s", [NOW_S - LIMIT_S + MARGIN_S, NOW_S - 3600])
def test_a_change_that_comes_too_late_is_not_made(
    asked_s: float, web: Path, memory: MemoryBranch
) -> None:
    """Web was stuck, and whoever asked has been told that it failed: it must not happen later.

    Bug (real processes): a question to a stopped web process was carried out when it went on,
    after the caller had been told that it failed.
    """
    with pytest.raises(StoreError, match="nothing was changed"):
        ask_web(web, deeds.set_mode(LOCKDOWN), by=BY, timeout_s=LIMIT_S, monotonic_s=asked_s)

    assert memory.version() == 0
    ask_web(web, deeds.set_mode(LOCKDOWN), by=BY, timeout_s=LIMIT_S, monotonic_s=asked_s + 3600)


def test_what_cannot_be_written_or_put_on_record_is_told(
    web: Path, memory: MemoryBranch, audit: MemoryAudit
) -> None:
    """As the machine's fault: nobody is told that a ban holds which was not kept."""
    for part in (audit, memory):
        part.broken = True

        with pytest.raises(StoreError):
            ask_web(web, deeds.set_day(CHRISTMAS), by=BY, timeout_s=LIMIT_S, monotonic_s=NOW_S)

        part.broken = False
        assert memory.calendar().sources == {}


@pytest.mark.parametrize("about", [{"nonsense": 1}, {"ban": {}}, {"number": "7"}])
def test_a_question_that_is_none_changes_nothing(
    about: dict[str, Any], web: Path, memory: MemoryBranch
) -> None:
    """Whoever asks with something missing or of another type is told so."""
    asked = {"request": about, "by": BY, "before_s": NOW_S + 1}
    for name in DEEDS:
        with pytest.raises(StoreError, match="not complete"):
            ask(web, Line(name, asked), timeout_s=LIMIT_S)

    assert memory.version() == 0


class TestStaffsDays:
    """What staff say of one date leaves what they and others said of the rest."""

    def test_a_date_takes_the_place_of_the_same_date_only(self, memory: MemoryBranch) -> None:
        """Said again, a date is what was said last; the others are still there."""
        branch = OpenBranch(memory, memory, MemoryAudit(), memory_books())
        website = StoredDay(CHRISTMAS.day, ALL_DAY)
        memory.set_days(DaySource.WEBSITE, [website], NOW, known_until=CHRISTMAS.day)
        for one in (
            CHRISTMAS,
            replace(CHRISTMAS, day=TODAY),
            replace(CHRISTMAS, spans=(), note="closed"),
        ):
            deeds.set_day(one).run(branch, BY, NOW)
        said = memory.calendar().sources

        assert said[DaySource.WEBSITE].days == (website,)
        assert said[DaySource.STAFF].days == (
            replace(CHRISTMAS, day=TODAY),
            replace(CHRISTMAS, spans=(), note="closed"),
        )

    def test_days_that_are_past_hinder_nothing(self, memory: MemoryBranch) -> None:
        """Yesterday's exception is still stored, and is not said again."""
        branch = OpenBranch(memory, memory, MemoryAudit(), memory_books())
        deeds.set_day(replace(CHRISTMAS, day=TODAY)).run(branch, BY, NOW)
        later = Moment(LOCAL + 3 * DAY, LOCAL.astimezone(UTC) + 3 * DAY, ClockState.TRUSTED)

        deeds.set_day(CHRISTMAS).run(branch, BY, later)
        deeds.clear_day(CHRISTMAS.day).run(branch, BY, later)

        staff = memory.calendar().sources[DaySource.STAFF]
        assert CHRISTMAS.day not in {one.day for one in staff.days}

    def test_an_unset_clock_hides_no_date(self, memory: MemoryBranch) -> None:
        """A clock that is years ahead and not set does not take back what lies ahead."""
        branch = OpenBranch(memory, memory, MemoryAudit(), memory_books())
        ahead = Moment(LOCAL.replace(year=2031), LOCAL.astimezone(UTC), ClockState.UNTRUSTED)
        deeds.set_day(CHRISTMAS).run(branch, BY, NOW)
        deeds.set_day(replace(CHRISTMAS, day=TODAY)).run(branch, BY, ahead)
        staff = memory.calendar().sources[DaySource.STAFF]

        assert CHRISTMAS in staff.days


def test_no_request_shows_whose_card_it_is() -> None:
    """A traceback may quote a request, or a part of it: row key, patron and hash stay out of it.

    Bug (read by a stranger): a part of a request for a deed printed the hash of a password, the
    row key of a card and the patron's number.
    """
    requests: tuple[Request[Any], ...] = (
        deeds.add_ban(BAN, KEY, "patron-1001"),
        deeds.issue_pass(PASS, KEY),
        ADD_KAJ,
    )
    done = deeds.Outcome(None, cards=(KEY,), patron_ref="patron-1001")
    shown = f"{requests!r} {[one.arguments for one in requests]!r} {done!r}"

    assert "patron-1001" not in shown
    assert "$argon2id$x" not in shown
    assert repr(KEY) not in shown
    assert repr(PASS.pin_check) not in shown


MOMENT = FakeClock().moment()
BOOTED = BootTime("boot-1", 1000)
PROVIDED = Account("abc", "Abc", Role.MANAGER, origin=Origin.PROVIDER, subject="sub-1")


@pytest.fixture
def books() -> Books:
    """Books with a manager, a technician, one of the staff, and one of the provider's."""
    books = memory_books()
    for name, role in (("m", Role.MANAGER), ("t", Role.TECHNICIAN), ("s", Role.STAFF)):
        carried_out(deeds.add_account(Account(name, name, role), "hash"), books, MOMENT)
    books.accounts.keep(PROVIDED, MOMENT)
    return books


CHANGES: list[Callable[[Books, str], object]] = [
    lambda books, name: carried_out(deeds.set_role(name, Role.VIEWER), books, MOMENT),
    lambda books, name: carried_out(deeds.disable_account(name), books, MOMENT),
    lambda books, name: carried_out(deeds.enable_account(name), books, MOMENT),
    lambda books, name: carried_out(deeds.set_password(name, "h", must_change=True), books, MOMENT),
    lambda books, name: carried_out(deeds.sign_out_everywhere(name), books, MOMENT),
]


@pytest.mark.parametrize("change", CHANGES)
def test_each_change_ends_the_accounts_sessions(
    books: Books, change: Callable[[Books, str], object]
) -> None:
    """Whoever was in before it does not stay in by what was true then; others do."""
    books.sessions.add(bytes(32), Session("s", BOOTED, BOOTED))
    books.sessions.add(bytes([1] * 32), Session("t", BOOTED, BOOTED))
    change(books, "s")

    assert books.sessions.find(bytes(32)) is None
    assert books.sessions.find(bytes([1] * 32)) is not None


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_nobodys_account_is_refused(
    books: Books, change: Callable[[Books, str], object]
) -> None:
    """A slip of the pen must not look as if somebody had been locked out."""
    with pytest.raises(InputError, match="no account x"):
        change(books, "x")


def test_a_login_is_given_once(books: Books) -> None:
    """A second account of that name would be the first one's."""
    with pytest.raises(InputError, match="already"):
        carried_out(deeds.add_account(Account("s", "S", Role.MANAGER), "other"), books, MOMENT)

    assert books.accounts.password_of("s") == "hash"


def test_somebody_local_can_always_get_in(books: Books) -> None:
    """The last manager or technician is neither disabled nor made something else.

    One of the identity provider's does not count: it is no use while that is down.
    """
    carried_out(deeds.disable_account("t"), books, MOMENT)
    for change in CHANGES[:2]:
        with pytest.raises(InputError, match="last local"):
            change(books, "m")
    carried_out(deeds.set_role("m", Role.TECHNICIAN), books, MOMENT)
    carried_out(deeds.enable_account("t"), books, MOMENT)
    carried_out(deeds.disable_account("m"), books, MOMENT)

    assert [one.name for one in books.accounts.every() if one.keeps_the_house] == ["t"]


def test_what_is_the_providers_is_not_changed_here(books: Books) -> None:
    """It would be another one at the next sign-in; to disable it is."""
    with pytest.raises(InputError, match="groups"):
        carried_out(deeds.set_role("abc", Role.STAFF), books, MOMENT)
    with pytest.raises(InputError, match="identity provider"):
        carried_out(deeds.set_password("abc", "h", must_change=False), books, MOMENT)

    assert carried_out(deeds.disable_account("abc"), books, MOMENT).disabled


def test_a_new_password_forgets_failures(books: Books) -> None:
    """Whoever has forgotten theirs need not wait for what they tried."""
    for change in (CHANGES[2], CHANGES[3]):
        books.failures.keep("account", "s", account_charged(NONE, BOOTED))
        change(books, "s")
        assert books.failures.find("account", "s") == NONE
