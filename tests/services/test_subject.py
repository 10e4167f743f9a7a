"""A person's rights over real databases, with their owners running and without."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from doorctl.access.messages import Closed, Opened
from doorctl.access.patron import Patron, Reason, SealedRow, row_key
from doorctl.access.rights import Ban
from doorctl.access.throttle import CardThrottle
from doorctl.cli import patrons as commands
from doorctl.config import Config
from doorctl.config.shipped import shipped
from doorctl.core.errors import AlreadyExistsError, DoorctlError, InputError, StoreError
from doorctl.core.masked import Identifier, IdentifierKind
from doorctl.core.moments import ClockState, Stamped
from doorctl.doord.retention_answers import erasure_answers
from doorctl.lookup.app import App
from doorctl.lookup.configured import system_clock
from doorctl.lookup.numbers import own_sealer
from doorctl.privacy.audit import Action
from doorctl.privacy.export import Export
from doorctl.privacy.holds import Hold
from doorctl.privacy.tables import BRANCH, PATRONS, VISITS
from doorctl.rpc.messages import Line
from doorctl.rpc.retention import ERASE_VISITS
from doorctl.rpc.server import ControlServer
from doorctl.services import branch as book
from doorctl.services import cards as command_desk
from doorctl.services import deeds
from doorctl.services import subject as rights
from doorctl.services.branch import change
from doorctl.services.purging import purge_now
from doorctl.services.subject import Named
from doorctl.store.patrons import PatronCache
from doorctl.store.patrons_writer import PatronCacheWriter, open_or_create_patrons
from doorctl.store.records import AuditRecords
from doorctl.store.tombstones import StoredErasures
from doorctl.store.visits import VisitStore
from doorctl.sync.guard import unguarded
from doorctl.sync.receive import Push
from doorctl.web.branch_thread import BranchThread
from doorctl.wiring.web_answers import webs_answers
from tests.rpc.serving import plain
from tests.services.branches import ban_card, initialised
from tests.store.samples import files_of

CARD, LOST, CPR, STRANGER = "3000001234", "3000009999", "010170-1234", "3000005678"
REF, OTHER_REF = "the-person-1001", "somebody-else-1002"
BAN = Ban(0, "smoke", datetime(2026, 1, 1, tzinfo=UTC), None, "staff-7", frozenset({"*"}))
BY_CARD, BY_CPR, BY_REF = Named(CARD, None), Named(CPR, None), Named(None, REF)
NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)
HOLD = Hold(NOW - HOUR, NOW + HOUR, "2026-17", "burglary", NOW + 9 * HOUR, "eva")


def key(config: Config, number: str) -> bytes:
    """Return the row key of a number as it stands on a card."""
    kind = IdentifierKind.CPR if "-" in number else IdentifierKind.CARD
    return row_key(own_sealer(config).stretch(Identifier(kind, number.replace("-", ""))))


def register(config: Config) -> list[SealedRow]:
    """Return the rows of a register with one person, who has two cards, and a stranger."""
    return [
        SealedRow(key(config, CARD), Patron(REF, pin_check=bytes(range(32)), resident=True)),
        SealedRow(key(config, CPR), Patron(REF, pin_check=bytes(range(32)), resident=True)),
        SealedRow(key(config, STRANGER), Patron(OTHER_REF, resident=True)),
    ]


def push(config: Config, epoch: int) -> None:
    """Have the register's owner apply a snapshot of that number."""
    with (
        closing(StoredErasures(config.storage.branch_db)) as erasures,
        closing(
            open_or_create_patrons(config.storage.patrons_db, own_sealer(config).seal, erasures)
        ) as writer,
    ):
        apply(writer, register(config), epoch)


def apply(writer: PatronCacheWriter, rows: list[SealedRow], epoch: int) -> None:
    """Apply a snapshot."""
    writer.apply(
        rows,
        full=True,
        applied_at=NOW,
        minimum_age=0,
        guard=unguarded,
        push=Push(epoch, f"digest {epoch}"),
    )


def knows(config: Config, number: str) -> bool:
    """Tell whether the register holds a card."""
    with closing(PatronCache(config.storage.patrons_db, own_sealer(config).seal)) as cache:
        return cache.find(key(config, number)) is not None


def came(config: Config, number: str, *, at: datetime = NOW) -> None:
    """Put a visit with a wrong PIN on record."""
    boot = system_clock(config).boot_time()
    stamp = Stamped(at, ClockState.TRUSTED, boot)
    with closing(VisitStore(config.storage.visits_db)) as visits:
        attempt = visits.last_attempt() + 1
        visits.open_attempt(Opened(attempt, stamp, key(config, number), CardThrottle(1, boot)))
        visits.close_attempt(
            Closed(attempt, Reason.WRONG_PIN, key(config, number), CardThrottle(1, boot))
        )


def traces(config: Config, *numbers: str) -> list[str]:
    """Return the files in which a person's keys or number still stand."""
    wanted = [REF.encode(), *(key(config, number) for number in numbers)]
    wanted += [one.hex().encode() for one in wanted[1:]]
    contents = files_of(config.storage.directory)
    return [name for name, content in contents.items() if any(one in content for one in wanted)]


def held(export: Export) -> dict[str, int]:
    """Return how many rows of each table are shown."""
    names = [row.table.name for row in export.rows]
    return {name: names.count(name) for name in sorted(set(names))}


@pytest.fixture
def branch(tmp_path: Path) -> Config:
    """A branch that holds something of the person and of a stranger in every database."""
    config = initialised(tmp_path, "clock.trust=always")
    push(config, 7)
    for number in (CARD, STRANGER):
        came(config, number)
        ban_card(App.of(config), number, None, BAN)
    return config


@pytest.fixture(params=["alone", "beside their owners"])
def owned(request: pytest.FixtureRequest, branch: Config) -> Iterator[Config]:
    """The same, with nobody else at the databases or with both daemons' owners."""
    if request.param == "alone":
        yield branch
        return
    with ExitStack() as stack:
        start_web(branch, stack)
        start_door(branch, stack)
        yield branch


def start_web(config: Config, stack: ExitStack) -> None:
    """Own the register and ``branch.db`` as web does."""
    worker = stack.enter_context(ThreadPoolExecutor(1))
    seal = own_sealer(config).seal
    erasures = stack.enter_context(closing(StoredErasures(config.storage.branch_db)))
    writer = worker.submit(
        open_or_create_patrons, config.storage.patrons_db, seal, erasures
    ).result()
    stack.callback(lambda: worker.submit(writer.close).result())
    desk = stack.enter_context(closing(BranchThread(App.of(config))))
    desk.open()
    answers = {**desk.answers(), **webs_answers(desk, worker, writer)}
    serve(ControlServer(config.web.socket, answers), stack)


def start_door(config: Config, stack: ExitStack) -> None:
    """Own the door log as the door does."""
    worker = stack.enter_context(ThreadPoolExecutor(1))
    visits = worker.submit(VisitStore, config.storage.visits_db).result()
    stack.callback(lambda: worker.submit(visits.close).result())
    answers = erasure_answers(
        lambda job: worker.submit(job).result(), lambda: visits, lambda _row_keys: None
    )
    serve(ControlServer(config.control.socket, answers), stack)


def start_stuck_door(config: Config, stack: ExitStack) -> None:
    """Answer as a door whose disk fails."""

    def fails(_question: Line) -> dict[str, object]:
        raise StoreError("the disk is stuck")

    serve(ControlServer(config.control.socket, plain({ERASE_VISITS.name: fails})), stack)


def serve(server: ControlServer, stack: ExitStack) -> None:
    """Answer until the stack is closed."""
    server.start()
    stack.callback(server.stop)


class TestExport:
    """Article 15: what is held, in every database."""

    def test_shows_every_database_by_card_or_by_number(self, owned: Config) -> None:
        """Any of the cards stands for the person; the stranger's rows are not among them."""
        by_card = rights.export(App.of(owned), BY_CARD)

        assert held(by_card) == {"attempts": 1, "bans": 1, "patrons": 2, "throttles": 1}
        assert held(rights.export(App.of(owned), BY_CPR)) == held(by_card)
        assert held(rights.export(App.of(owned), BY_REF)) == held(by_card)

    def test_is_itself_a_look_that_the_next_one_shows(self, branch: Config) -> None:
        """What and when and why, and not which member of staff."""
        rights.export(App.of(branch), BY_CARD, "asked at the desk")
        looks = rights.export(App.of(branch), BY_REF).lookups

        exported = [one for one in looks if one.what == Action.SUBJECT_EXPORTED.value]
        assert [one.why for one in exported] == ["asked at the desk"]
        assert Action.BAN_ADDED.value in [one.what for one in looks]

    def test_of_somebody_unknown_is_empty_and_makes_no_data_of_them(self, branch: Config) -> None:
        """The audit log says that somebody looked, and at nobody."""
        assert rights.export(App.of(branch), Named(LOST, None)).empty
        assert traces(branch, LOST) == traces(branch)

    def test_shows_what_a_hold_in_force_keeps(self, branch: Config) -> None:
        """Staff can read it, so its person may; once the hold is over nobody reads it."""
        old = NOW - timedelta(days=40)
        came(branch, CARD, at=old)
        for until, shown in ((NOW - HOUR, 1), (NOW + 9 * HOUR, 2)):
            with closing(VisitStore(branch.storage.visits_db)) as visits:
                boot = system_clock(branch).boot_time()
                visits.keep_time(NOW, boot)
                visits.add_hold(replace(HOLD, since=old - HOUR, to=old + HOUR, until=until))
            assert held(rights.export(App.of(branch), BY_CARD))["attempts"] == shown

    def test_without_a_register_shows_what_the_others_hold(self, branch: Config) -> None:
        """A ban knows whose it is; a lost register is no reason to say that nothing is held."""
        branch.storage.patrons_db.unlink()

        assert held(rights.export(App.of(branch), BY_CARD)) == {
            "attempts": 1,
            "bans": 1,
            "throttles": 1,
        }

    def test_of_a_lost_branch_file_is_refused(self, branch: Config) -> None:
        """Without it nobody knows all that is held."""
        branch.storage.branch_db.unlink()

        with pytest.raises(StoreError, match="restore it"):
            rights.export(App.of(branch), BY_CARD)


class TestErase:
    """Article 17: all of it goes, and comes back by nothing old."""

    def test_leaves_no_byte_in_any_file_and_the_stranger_alone(self, owned: Config) -> None:
        """Rows, indexes, -wal: none holds a key of the person or the number."""
        before = held(rights.export(App.of(owned), Named(STRANGER, None)))
        done = rights.erase(App.of(owned), BY_CARD)

        assert (dict(done.left), done.held) == ({}, ())
        assert {name: part.rows > 0 for name, part in done.done.items()} == dict.fromkeys(
            (BRANCH, VISITS, PATRONS), True
        )
        assert traces(owned, CARD, CPR) == []
        assert rights.export(App.of(owned), BY_CARD).empty
        assert held(rights.export(App.of(owned), Named(STRANGER, None))) == before

    def test_says_which_entries_went_and_the_log_is_whole(self, branch: Config) -> None:
        """Not whose they were; a record that is gone without that is found."""
        rights.export(App.of(branch), BY_CARD)
        rights.erase(App.of(branch), BY_CARD)
        assert book.verify_audit(App.of(branch)).broken is None
        with closing(AuditRecords(branch.storage.branch_db)) as audit:
            erased = audit.entries()[-1].deed
        named = (erased.action, erased.cards, erased.patron_ref)
        assert named == (Action.SUBJECT_ERASED, (), None)
        rights.export(App.of(branch), BY_CARD)
        with closing(sqlite3.connect(branch.storage.branch_db)) as database, database:
            sql = "UPDATE audit SET record = NULL, salt = NULL WHERE number = {}"
            last = database.execute("SELECT max(number) FROM audit").fetchone()[0]
            database.execute(sql.format(last))

        assert book.verify_audit(App.of(branch)).broken == last

    def test_an_older_push_brings_nobody_back_to_a_new_register(self, branch: Config) -> None:
        """A stick with last week's snapshot, after the register was lost: all but the person."""
        rights.erase(App.of(branch), BY_CARD)
        branch.storage.patrons_db.unlink()
        push(branch, 7)

        assert [knows(branch, one) for one in (CARD, CPR, STRANGER)] == [False, False, True]
        assert traces(branch, CARD, CPR) == []

    def test_a_push_is_refused_while_nobody_knows_who_was_erased(self, branch: Config) -> None:
        """In doubt nobody comes back; the door refuses everybody then, too."""
        rights.erase(App.of(branch), BY_CARD)
        branch.storage.branch_db.unlink()

        with pytest.raises(StoreError, match="restore it"):
            push(branch, 8)

    def test_what_its_owner_can_not_do_is_told_and_done_the_next_time(self, branch: Config) -> None:
        """The register forgets all cards; the visits of each are found by the tombstone later."""
        came(branch, CPR)
        with ExitStack() as stack:
            start_stuck_door(branch, stack)
            first = rights.erase(App.of(branch), BY_CARD)
        assert list(first.left) == [VISITS]
        assert traces(branch, CARD, CPR) != []
        assert not knows(branch, CARD)

        second = rights.erase(App.of(branch), BY_CARD)

        assert dict(second.left) == {}
        assert traces(branch, CARD, CPR) == []

    def test_a_hold_keeps_its_visits_until_it_ends_and_the_purge_takes_them(
        self, branch: Config
    ) -> None:
        """They are named with case and end; everything else is erased at once."""
        with closing(VisitStore(branch.storage.visits_db)) as visits:
            number = visits.add_hold(HOLD).number
        done = rights.erase(App.of(branch), BY_CARD)
        purge_now(App.of(branch), proved=False)

        assert [(one.attempt, one.case) for one in done.held] == [(1, HOLD.case)]
        assert traces(branch, CARD, CPR) == [VISITS]

        with closing(VisitStore(branch.storage.visits_db)) as visits:
            visits.lift_hold(number)
        purge_now(App.of(branch), proved=False)

        assert traces(branch, CARD, CPR) == []
        assert held(rights.export(App.of(branch), Named(STRANGER, None)))["attempts"] == 1


class TestRestrict:
    """Article 18: kept, and used for nothing."""

    def test_the_door_refuses_all_cards_until_it_is_ended(self, owned: Config) -> None:
        """Explain says what the door says."""
        rights.restrict(App.of(owned), BY_CARD)
        during = [command_desk.explain(App.of(owned), one, None).reason for one in (CARD, CPR)]
        stranger = command_desk.explain(App.of(owned), STRANGER, None).reason
        rights.unrestrict(App.of(owned), BY_REF)

        assert during == [Reason.RESTRICTED] * 2
        assert stranger is not Reason.RESTRICTED
        assert command_desk.explain(App.of(owned), CARD, None).reason is not Reason.RESTRICTED

    @pytest.mark.parametrize(
        ("change", "says"), [(rights.restrict, "already"), (rights.unrestrict, "not restricted")]
    )
    def test_twice_or_never_is_refused(
        self, change: Callable[[App, Named], object], says: str, owned: Config
    ) -> None:
        """Whoever asks learns that nothing was changed."""
        rights.restrict(App.of(owned), BY_CARD)
        if change is rights.unrestrict:
            change(App.of(owned), BY_CARD)

        with pytest.raises(InputError, match=says):
            change(App.of(owned), BY_CARD)


class TestNumber:
    """What may stand as a library system's number: it is kept as it is typed."""

    @pytest.mark.parametrize(
        "deed", [rights.export, rights.erase, rights.restrict, rights.unrestrict]
    )
    def test_a_cpr_number_is_refused_before_anything_is_on_record(
        self, deed: Callable[[App, Named], object], branch: Config
    ) -> None:
        """It belongs where a card is typed, and the line does not repeat it."""
        ref = "01 01 70 1234"
        with closing(AuditRecords(branch.storage.branch_db)) as audit:
            before = audit.entries()
            with pytest.raises(InputError, match="as the card") as refusal:
                deed(App.of(branch), Named(None, ref))

            assert audit.entries() == before
        assert ref not in str(refusal.value)

    def test_what_was_once_kept_as_one_can_still_be_erased(self, branch: Config) -> None:
        """A ban from before it was refused: else it would stay, with no way to name it."""
        cpr = "0101701234"
        change(App.of(branch), deeds.add_ban(BAN, None, cpr))

        assert held(rights.export(App.of(branch), Named(None, cpr))) == {"bans": 1}
        rights.erase(App.of(branch), Named(None, cpr))
        contents = files_of(branch.storage.directory)
        assert [name for name, content in contents.items() if cpr.encode() in content] == []


class TestCommands:
    """What is typed, printed and refused."""

    def test_json_says_what_is_held_and_hides_staff(self, branch: Config) -> None:
        """Times are local, keys in hex; who wrote a ban is nobody's affair."""
        done = call(branch, "export", "-", "--json", typed=CARD)
        told = json.loads(done.output)

        assert (told["format"], told["branch"]) == ("doorctl-subject/1", branch.branch.id)
        assert told["held"][PATRONS]["patrons"][0]["patron_ref"] == REF
        assert told["held"][BRANCH]["bans"][0]["by"] is None
        assert key(branch, CARD).hex() in done.output
        assert "staff-7" not in done.output

    def test_a_page_is_written_for_its_owner_alone(self, branch: Config, tmp_path: Path) -> None:
        """And overwrites nothing."""
        page = tmp_path / "page.html"
        done = call(branch, "export", CARD, "--page", str(page))

        assert (done.exit_code, page.stat().st_mode & 0o777) == (0, 0o600)
        assert "Hvad døren ved om dig" in page.read_text("utf-8")
        again = call(branch, "export", CARD, "--page", str(page)).exception
        assert isinstance(again, AlreadyExistsError)

    def test_a_file_is_made_where_none_is_named(
        self, branch: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Here, for its owner alone, under a name that names nobody; the terminal shows where.

        Bug (review of the pages): the page was poured into the terminal.
        """
        monkeypatch.chdir(tmp_path)
        done = call(branch, "export", CARD)
        (made,) = tmp_path.glob("*.html")

        assert re.fullmatch(r"oplysninger-[-0-9]{17}\.html", made.name)
        assert made.stat().st_mode & 0o777 == 0o600
        assert str(made) in done.output
        assert "<" not in done.output

    def test_the_page_is_printed_where_that_is_asked(self, branch: Config) -> None:
        """In English if that is asked for too."""
        words = ("--patron-ref", REF, "--language", "en", "--output", "-")
        done = call(branch, "export", *words)

        assert "What the door knows of you" in done.output

    def test_erase_fails_where_something_is_left(self, branch: Config) -> None:
        """With one line that says what and what to do."""
        with ExitStack() as stack:
            start_stuck_door(branch, stack)
            failed = call(branch, "erase", CARD).exception

        assert isinstance(failed, DoorctlError)
        assert "visits.db: " in str(failed)
        assert "Erase again." in str(failed)
        assert "\n" not in str(failed)

    def test_a_held_visit_is_named_and_fails_the_command(self, branch: Config) -> None:
        """It has not been erased, so nobody may be told that it was."""
        with closing(VisitStore(branch.storage.visits_db)) as visits:
            visits.add_hold(HOLD)
        failed = call(branch, "erase", CARD).exception

        assert "visit 1 stays for case 2026-17" in str(failed)
        assert "library system too" in str(failed)

    @pytest.mark.parametrize(
        ("command", "action"),
        [
            ("restrict", Action.SUBJECT_RESTRICTED),
            ("unrestrict", Action.SUBJECT_UNRESTRICTED),
            ("object", Action.SUBJECT_OBJECTED),
            ("erase", Action.SUBJECT_ERASED),
        ],
    )
    def test_the_reason_stands_in_the_deeds_own_entry(
        self, command: str, action: Action, owned: Config
    ) -> None:
        """No fault can leave a deed without its reason, whoever owns the audit log."""
        if command == "unrestrict":
            rights.restrict(App.of(owned), BY_CARD, "sag 2026-16")
        assert call(owned, command, CARD, "--why", "sag 2026-17").exit_code == 0

        with closing(AuditRecords(owned.storage.branch_db)) as audit:
            deeds = [one.deed for one in audit.entries()]
        assert [one.action for one in deeds if one.why == "sag 2026-17"] == [action]
        assert len([one for one in deeds if one.action is action]) == 1

    @pytest.mark.parametrize("command", ["restrict", "erase"])
    def test_a_reason_that_has_no_place_on_record_changes_nothing(
        self, command: str, owned: Config
    ) -> None:
        """A card number in it would outlast the person; it is refused before anything is done."""
        before = held(rights.export(App.of(owned), BY_CARD))
        failed = call(owned, command, CARD, "--why", f"card {CARD}").exception

        assert isinstance(failed, InputError)
        assert CARD not in str(failed)
        assert held(rights.export(App.of(owned), BY_CARD)) == before

    def test_restrict_says_that_nobody_has_the_number(self, branch: Config) -> None:
        """So that a mistyped one is seen; what holds is said in one line each."""
        done = call(branch, "restrict", "--patron-ref", "1999").output
        known = call(branch, "restrict", CARD).output

        assert commands.UNKNOWN_REF in done
        assert (commands.UNKNOWN_REF in known, "restricted" in known) == (False, True)
        assert "ended" in call(branch, "unrestrict", CARD).output

    @pytest.mark.parametrize(
        "words",
        [
            ("export",),
            ("erase", CARD, "--patron-ref", REF),
            ("export", CARD, "--json", "--page", "page.html"),
        ],
    )
    def test_wrong_usage_is_told(self, words: tuple[str, ...], branch: Config) -> None:
        """Nobody, or two ways to name somebody, or two ways to show it."""
        assert call(branch, *words).exit_code == 2


def call(config: Config, *words: str, typed: str = "") -> Result:
    """Run a subject command over a branch."""
    command = commands.subject.commands[words[0]]
    overrides = (
        f"storage.directory={config.storage.directory}",
        f"secrets.installation_key_file={config.secrets.installation_key_file}",
        "seal.memory_kib=8",
        "reader.port=/dev/null",
        "clock.trust=always",
    )
    options = [part for one in overrides for part in ("--set", one)]
    where = ["--config", str(shipped("demo.toml"))]
    return CliRunner().invoke(command, [*words[1:], *where, *options], input=f"{typed}\n")


def test_an_objection_is_decided_by_command_and_erased_with_the_person(owned: Config) -> None:
    """All cards are restricted until it is rejected; each step is exported, erasure takes all."""
    assert call(owned, "object", CPR, "--why", "sag 2026-17").exit_code == 0
    pending = held(rights.export(App.of(owned), BY_CARD))
    assert call(owned, "unrestrict", CARD).exit_code == 1
    decided = call(owned, "decide", CARD, "--decision", "rejected", "--why", "threats to staff")
    rejected = rights.export(App.of(owned), BY_REF)

    assert (pending["objections"], "restrictions" in pending) == (1, True)
    assert (decided.exit_code, "rejected" in decided.output) == (0, True)
    assert "restrictions" not in held(rejected)
    (row,) = [row.by_column for row in rejected.rows if row.table.name == "objections"]
    assert (row["decision"], row["reason"]) == ("rejected", "threats to staff")
    assert call(owned, "erase", CARD).exit_code == 0
    assert rights.export(App.of(owned), BY_REF).empty
