"""The audit log's desk: the same of the one in memory and of the one over a real branch.db."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from doorctl.config import Config
from doorctl.privacy.audit import Action, Deed, Entry
from doorctl.services.app import App
from doorctl.services.records import note
from doorctl.web.desks import AuditDesk
from doorctl.wiring.desks import TrailDesk
from tests.bootstrap.branches import initialised
from tests.fakes.trail_desk import FakeTrailDesk

DEEDS = (
    (Deed(Action.BAN_ADDED, patron_ref="1001", why="støj"), "anne"),
    (Deed(Action.OPENED_ONCE, why="rullestol"), "bo"),
)


def real(directory: Path) -> tuple[TrailDesk, Config]:
    """Return a desk over files."""
    config = initialised(directory)
    return TrailDesk(config), config


@pytest.fixture(params=["fake", "real"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> AuditDesk:
    """Either desk, after two deeds."""
    if request.param == "fake":
        fake = FakeTrailDesk()
        for deed, by in DEEDS:
            fake.put(deed, by)
        return fake
    found, config = real(tmp_path)
    for deed, by in DEEDS:
        note(App.of(config), deed, by)
    return found


def read(desk: AuditDesk, **wanted: object) -> tuple[Entry, ...]:
    """Read what fits."""
    every: dict[str, object] = {"since": None, "until": None, "account": None, "action": None}
    return desk.entries(**{**every, **wanted}, by="carla")  # type: ignore[arg-type]


def test_the_newest_is_first_and_the_look_is_on_record(desk: AuditDesk) -> None:
    """Whoever reads next sees who has read before."""
    first, second = read(desk), read(desk)

    assert [one.deed.action for one in first] == [Action.OPENED_ONCE, Action.BAN_ADDED]
    assert (second[0].deed.action, second[0].by) == (Action.AUDIT_READ, "carla")


def test_all_that_is_asked_for_has_to_fit(desk: AuditDesk) -> None:
    """By account, by deed, and by time."""
    newest = read(desk)[0].at

    assert [one.by for one in read(desk, account="anne")] == ["anne"]
    assert [one.by for one in read(desk, action=Action.OPENED_ONCE)] == ["bo"]
    assert read(desk, account="anne", action=Action.OPENED_ONCE) == ()
    assert read(desk, since=newest + timedelta(days=1)) == ()
    assert read(desk, until=newest - timedelta(days=1)) == ()


def test_the_chain_is_whole_and_ends_at_its_head(desk: AuditDesk) -> None:
    """A check looks at every entry."""
    verdict = desk.verify()

    assert (verdict.broken, verdict.entries, verdict.head) == (None, 2, desk.head())
