"""A person's rights: what is held, restricted and erased in real files."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from doorctl.access.rights import Ban
from doorctl.config import Config
from doorctl.core.errors import InputError
from doorctl.privacy.audit import Action
from doorctl.services import rights, subject
from doorctl.services.app import App
from doorctl.services.subject import Named
from doorctl.web.staff.records import known_ref, restricted
from tests.web.desk_records import recorded

REF, WHY = "1001", "sag 2026-17"
PERSON = Named(patron_ref=REF)
BAN = Ban(0, "støj", datetime(2026, 1, 1, tzinfo=UTC), None, "anne", frozenset({"*"}))


@pytest.fixture
def config(app: App) -> Config:
    """A branch that holds a ban of one person."""
    rights.ban_patron(app, REF, BAN, by="anne")
    return app.config


def test_what_is_held_is_found_by_the_number(config: Config) -> None:
    """The look itself is told of at the next one."""
    first, second = (subject.export(App.of(config), PERSON, WHY, by="dpo") for _ in range(2))

    assert [one.table.name for one in first.rows] == ["bans"]
    assert known_ref(first) == REF
    assert (second.lookups[-1].what, second.lookups[-1].why) == ("subject_exported", WHY)


def test_of_somebody_else_nothing_is_held(config: Config) -> None:
    """By a card that nobody knows."""
    assert subject.export(App.of(config), Named("3000001234"), WHY, by="dpo").empty


def test_a_restriction_is_begun_and_ended_once(config: Config) -> None:
    """It shows in what is held."""
    with pytest.raises(InputError):
        subject.unrestrict(App.of(config), PERSON, WHY, by="dpo")
    subject.restrict(App.of(config), PERSON, WHY, by="dpo")
    with pytest.raises(InputError):
        subject.restrict(App.of(config), PERSON, WHY, by="dpo")
    assert restricted(subject.export(App.of(config), PERSON, WHY, by="dpo"))
    subject.unrestrict(App.of(config), PERSON, WHY, by="dpo")
    assert not restricted(subject.export(App.of(config), PERSON, WHY, by="dpo"))


def test_whoever_is_erased_is_gone(config: Config) -> None:
    """Nothing is left, and it can be done again."""
    done = subject.erase(App.of(config), PERSON, WHY, by="dpo")

    assert (done.rows >= 1, done.left, done.held) == (True, {}, ())
    assert subject.export(App.of(config), PERSON, WHY, by="dpo").rows == ()
    subject.erase(App.of(config), PERSON, WHY, by="dpo")


@pytest.mark.parametrize(
    ("named", "why"), [(Named("x"), WHY), (PERSON, "CPR 0101701234"), (PERSON, "\x1b[31m")]
)
def test_what_makes_no_sense_changes_nothing(config: Config, named: Named, why: str) -> None:
    """No number, or a reason that has no place on record: it is refused before anything is done."""
    for deed in (subject.export, subject.erase, subject.restrict):
        with pytest.raises(InputError):
            deed(App.of(config), named, why, by="dpo")

    found = subject.export(App.of(config), PERSON, WHY, by="dpo")
    assert [one.table.name for one in found.rows] == ["bans"]


def test_reasons_are_on_record(config: Config) -> None:
    """In the deed's own entry, which no fault parts from it; of an erasure it says not whose."""
    subject.restrict(App.of(config), PERSON, "sag 1", by="dpo")
    subject.unrestrict(App.of(config), PERSON, "sag 2", by="dpo")
    before = recorded(config)
    subject.erase(App.of(config), PERSON, "sag 3", by="dpo")

    assert before[1:] == [
        (Action.SUBJECT_RESTRICTED, "sag 1", "dpo"),
        (Action.SUBJECT_UNRESTRICTED, "sag 2", "dpo"),
    ]
    assert recorded(config) == [(Action.SUBJECT_ERASED, "sag 3", "dpo")]
