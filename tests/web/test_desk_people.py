"""A person's rights: the same of the desk in memory and of the one over real files."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from doorctl.access.rights import Ban
from doorctl.config import Config
from doorctl.core.errors import InputError
from doorctl.privacy.audit import Action
from doorctl.services import rights
from doorctl.services.app import App
from doorctl.services.numbers import own_numbers
from doorctl.web.desks import Named, SubjectDesk
from doorctl.web.staff.people import known_ref, restricted
from doorctl.wiring.desks import PeopleDesk
from tests.bootstrap.branches import initialised
from tests.fakes.people_desk import FakePeopleDesk, row
from tests.web.desk_records import recorded

REF, WHY = "1001", "sag 2026-17"
PERSON = Named(patron_ref=REF)
BAN = Ban(0, "støj", datetime(2026, 1, 1, tzinfo=UTC), None, "anne", frozenset({"*"}))


def real(directory: Path) -> tuple[PeopleDesk, Config]:
    """Return a desk over files that hold a ban of one person."""
    config = initialised(directory)
    rights.ban_patron(App.of(config), REF, BAN, by="anne")
    return PeopleDesk(config, own_numbers(config)), config


@pytest.fixture(params=["fake", "real"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> SubjectDesk:
    """Either desk."""
    if request.param == "real":
        return real(tmp_path)[0]
    return FakePeopleDesk({REF: [row("bans", number=1, patron_ref=REF, reason="støj")]})


def test_what_is_held_is_found_by_the_number(desk: SubjectDesk) -> None:
    """The look itself is told of at the next one."""
    first, second = (desk.export(PERSON, WHY, "dpo") for _ in range(2))

    assert [one.table.name for one in first.rows] == ["bans"]
    assert known_ref(first) == REF
    assert (second.lookups[-1].what, second.lookups[-1].why) == ("subject_exported", WHY)


def test_of_somebody_else_nothing_is_held(desk: SubjectDesk) -> None:
    """By a card that nobody knows."""
    assert desk.export(Named("3000001234"), WHY, "dpo").empty


def test_a_restriction_is_begun_and_ended_once(desk: SubjectDesk) -> None:
    """It shows in what is held."""
    with pytest.raises(InputError):
        desk.unrestrict(PERSON, WHY, "dpo")
    desk.restrict(PERSON, WHY, "dpo")
    with pytest.raises(InputError):
        desk.restrict(PERSON, WHY, "dpo")
    assert restricted(desk.export(PERSON, WHY, "dpo"))
    desk.unrestrict(PERSON, WHY, "dpo")
    assert not restricted(desk.export(PERSON, WHY, "dpo"))


def test_whoever_is_erased_is_gone(desk: SubjectDesk) -> None:
    """Nothing is left, and it can be done again."""
    done = desk.erase(PERSON, WHY, "dpo")

    assert (done.rows >= 1, done.left, done.held) == (True, {}, ())
    assert desk.export(PERSON, WHY, "dpo").rows == ()
    desk.erase(PERSON, WHY, "dpo")


@pytest.mark.parametrize(
    ("named", "why"), [(Named("x"), WHY), (PERSON, "CPR 0101701234"), (PERSON, "\x1b[31m")]
)
def test_what_makes_no_sense_changes_nothing(desk: SubjectDesk, named: Named, why: str) -> None:
    """No number, or a reason that has no place on record: it is refused before anything is done."""
    for deed in (desk.export, desk.erase, desk.restrict):
        with pytest.raises(InputError):
            deed(named, why, "dpo")

    found = desk.export(PERSON, WHY, "dpo")
    assert [one.table.name for one in found.rows] == ["bans"]


def test_reasons_are_on_record(tmp_path: Path) -> None:
    """In the deed's own entry, which no fault parts from it; of an erasure it says not whose."""
    desk, config = real(tmp_path)
    desk.restrict(PERSON, "sag 1", "dpo")
    desk.unrestrict(PERSON, "sag 2", "dpo")
    before = recorded(config)
    desk.erase(PERSON, "sag 3", "dpo")

    assert before[1:] == [
        (Action.SUBJECT_RESTRICTED, "sag 1", "dpo"),
        (Action.SUBJECT_UNRESTRICTED, "sag 2", "dpo"),
    ]
    assert recorded(config) == [(Action.SUBJECT_ERASED, "sag 3", "dpo")]
