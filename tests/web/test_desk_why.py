"""Why refused: the same of the desk in memory and of the one over real files."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from doorctl.access.patron import Reason
from doorctl.config import Config
from doorctl.core.errors import InputError
from doorctl.privacy.audit import Action
from doorctl.services.numbers import own_numbers
from doorctl.web.desks import ExplainDesk
from doorctl.wiring.desks import WhyDesk
from tests.bootstrap.branches import initialised
from tests.fakes.why_desk import FakeWhyDesk
from tests.web.desk_records import recorded

CARD = "3000001234"


def real(directory: Path) -> tuple[WhyDesk, Config]:
    """Return a desk over a register that knows nobody."""
    config = initialised(directory)
    return WhyDesk(config, own_numbers(config)), config


@pytest.fixture(params=["fake", "real"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> ExplainDesk:
    """Either desk."""
    return FakeWhyDesk() if request.param == "fake" else real(tmp_path)[0]


def test_an_unknown_card(desk: ExplainDesk) -> None:
    """It is refused, at the local time that was asked about, and no pass is."""
    found = desk.explain(
        CARD, None, datetime.fromisoformat("2099-06-01T12:00"), "Låneren ringer", "anne"
    )

    assert (found.reason, found.granted) == (Reason.UNKNOWN_CARD, False)
    assert [(one.check, one.refused_with) for one in found.findings] == [
        ("known", Reason.UNKNOWN_CARD)
    ]
    assert f"{found.at:%Y-%m-%d %H:%M}" == "2099-06-01 12:00"
    assert found.at.tzinfo is not None


@pytest.mark.parametrize(("typed", "why"), [("x", "a look"), (CARD, "CPR 0101701234")])
def test_what_makes_no_sense(desk: ExplainDesk, typed: str, why: str) -> None:
    """No number, or a number for a reason."""
    with pytest.raises(InputError):
        desk.explain(typed, None, None, why, "anne")


def test_to_unlock_what_is_no_number(desk: ExplainDesk) -> None:
    """Is refused; a card that does not wait may be unlocked all the same."""
    with pytest.raises(InputError):
        desk.unlock("x", None, "anne")
    desk.unlock(CARD, "card", "anne")


def test_looks_are_on_record(tmp_path: Path) -> None:
    """With the account and the reason."""
    desk, config = real(tmp_path)
    desk.explain(CARD, None, None, "Låneren ringer", "anne")
    desk.unlock(CARD, "card", "bo")

    assert recorded(config) == [
        (Action.PATRON_EXPLAINED, "Låneren ringer", "anne"),
        (Action.CARD_UNLOCKED, "", "bo"),
    ]
