"""Bans: when they begin, hold and end, and the command of the page's deeds."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from doorctl.access.rights import ALL_BRANCHES, Ban, ban_since, ban_until
from doorctl.cli import rights as commands
from doorctl.config import Config
from doorctl.core.errors import InputError
from doorctl.demo.door import shipped
from doorctl.privacy.audit import Action
from doorctl.services import rights
from doorctl.services.app import App
from doorctl.services.rights import letter as written
from doorctl.store.records import AuditRecords
from tests.services.branches import ban_card, ban_patron, initialised

EITHER = "0101701234"
LAST = date(2099, 6, 1)


def wanted(app: App, first: date | None, last: date | None, reason: str = "støj") -> Ban:
    """Return a ban of days, as the page asks for it."""
    moment = app.clock.moment()
    since, until = ban_since(first, moment), ban_until(last, moment)
    return Ban(0, reason, since, until, "anne", frozenset({app.config.branch.id}), "Brevet.")


@pytest.fixture
def ban(app: App) -> Ban:
    """A ban from now on until a last day."""
    return wanted(app, None, LAST)


def test_a_ban_that_adds_nothing_is_refused(app: App, ban: Ban) -> None:
    """The same sent twice, or a shorter one; a longer one or one of all branches adds something.

    Bug (attack review): the same ban stood twice, and lifting one said nothing of the other.
    """
    ban_patron(app, "1001", ban)
    for again in (ban, wanted(app, None, date(2098, 6, 1)), wanted(app, LAST, LAST)):
        with pytest.raises(InputError, match="banned for as long already"):
            ban_patron(app, "1001", again)
    endless = replace(ban, until=None)
    for more in (endless, replace(endless, branches=frozenset({ALL_BRANCHES}))):
        ban_patron(app, "1001", more)
    ban_patron(app, "1002", ban)

    assert len(rights.every_ban(app)) == 4


def test_a_card_is_banned_once_under_each_reading(app: App, ban: Ban) -> None:
    """Where one of the two was lifted, it alone is banned again."""
    ((first, _), _) = ban_card(app, EITHER, None, ban)
    with pytest.raises(InputError, match="banned for as long already"):
        ban_card(app, EITHER, None, ban)
    rights.lift(app, first.number)

    assert len(ban_card(app, EITHER, None, ban)) == 1


def test_lifting_tells_what_else_holds(app: App, ban: Ban) -> None:
    """One ban of two of the same patron; one that was lifted, is ahead or another's is none."""
    first = ban_patron(app, "1001", ban)[0].number
    second = ban_patron(app, "1001", replace(ban, until=None))[0].number
    ahead = replace(wanted(app, date(2098, 1, 1), None), branches=frozenset({ALL_BRANCHES}))
    ban_patron(app, "1001", ahead)
    ban_patron(app, "1002", ban)

    assert rights.lift(app, first).others == (second,)
    assert rights.lift(app, second).others == ()


def test_the_command_bans_as_the_page_does(tmp_path: Path) -> None:
    """The same days make the same ban, and it is listed as doing the same."""
    app = App.of(initialised(tmp_path))
    later = date(2098, 6, 1)
    for first, last in ((None, LAST), (later, LAST), (None, None)):
        ban_patron(app, f"page-{first}-{last}", wanted(app, first, last))
        begins = [] if first is None else ["--from", f"{first}"]
        ends = ["--without-end"] if last is None else ["--until", f"{last}"]
        whom = ("--patron-ref", f"command-{first}-{last}")
        bans(app.config, "add", *whom, "--reason", "støj", *begins, *ends)

    listed = rights.every_ban(app)
    shown = json.loads(bans(app.config, "list", "--json"))
    for by_command, by_page in zip(listed[::2], listed[1::2], strict=True):
        mine, theirs = by_command.held, by_page.held
        assert (mine.until, mine.branches) == (theirs.until, theirs.branches)
        assert abs(mine.since - theirs.since) < timedelta(minutes=10)
    assert [one["state"] for one in shown] == ["holds", "holds", "ahead", "ahead", "holds", "holds"]


def test_the_command_says_what_else_holds(tmp_path: Path) -> None:
    """By its number, so that it can be lifted too."""
    app = App.of(initialised(tmp_path))
    for last in (LAST, None):
        ban_patron(app, "1001", wanted(app, None, last))

    assert bans(app.config, "lift", "1") == (
        "Ban 1 is lifted. Ban 2 of the same card or patron still holds.\n"
    )
    assert bans(app.config, "lift", "2") == "Ban 2 is lifted.\n"


def test_the_command_writes_the_letter(tmp_path: Path) -> None:
    """Of a ban that was lifted there is none; the look says what it is for."""
    app = App.of(initialised(tmp_path))
    made, _ = ban_patron(app, "1001", wanted(app, None, LAST))
    said = bans(app.config, "letter", f"{made.number}")
    assert said == written(made, app.config.branch, app.clock.moment()) + "\n"
    for part in ("støj", "Brevet.", "1.6.2099", "1 June 2099"):
        assert part in said
    rights.lift(app, made.number)

    with pytest.raises(InputError, match=f"no ban {made.number};"):
        bans(app.config, "letter", f"{made.number}")
    with closing(AuditRecords(app.storage.branch_db)) as audit:
        looks = [one.deed for one in audit.entries() if one.deed.action is Action.BANS_LISTED]
    assert [look.details for look in looks] == [{"letter": made.number}]


def bans(config: Config, *words: str) -> str:
    """Run a command of bans over a branch; return what it prints, or raise what it raises."""
    overrides = (f"storage.directory={config.storage.directory}", "branch.id=" + config.branch.id)
    options = [part for one in overrides for part in ("--set", one)]
    command = commands.bans.commands[words[0]]
    where = ["--config", str(shipped("demo.toml"))]
    done = CliRunner().invoke(command, [*words[1:], *where, *options])
    if done.exception is not None:
        raise done.exception
    return done.output
