"""The page of the audit log: every deed in words, what fits, and whether it is whole."""

from __future__ import annotations

import ast
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from starlette.testclient import TestClient

import doorctl
from doorctl.accounts.account import NOBODY, PROVIDER, Role
from doorctl.privacy.audit import SYNC, Action, Deed, Entry
from doorctl.services import branch
from doorctl.services.app import App
from doorctl.web.staff.records import DETAILS, SHOWN, audit_pages
from tests.web.desk_records import recorded
from tests.web.pages.staging import LANGUAGES, browser

SOURCE = Path(doorctl.__file__).parent
CARD = bytes.fromhex("3f1c9a04") + bytes(12)


def client(app: App, role: Role | None = Role.MANAGER, language: str = "da") -> TestClient:
    """Return a browser before the page."""
    return browser(audit_pages, role, language, app)


def put(app: App, *deeds: Deed, by: str = "anne") -> App:
    """Put deeds on record."""
    for one in deeds:
        branch.note(app.acting(by), one)
    return app


def test_every_detail_has_words_in_both_languages() -> None:
    """Whatever the source puts beside a deed; a name that is no word is for nobody."""
    written = {name for path in SOURCE.rglob("*.py") for name in _details_in(path)}
    danish = LANGUAGES.chosen("da").words

    assert written >= {"epoch", "number"}
    assert written <= set(DETAILS)
    assert [text for text in DETAILS.values() if danish.gettext(text) == text] == ["alarm"]


def _details_in(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.keyword) and node.arg == "details":
            for inner in ast.walk(node.value):
                if isinstance(inner, ast.Dict):
                    keys = (key for key in inner.keys if isinstance(key, ast.Constant))
                    yield from (str(key.value) for key in keys)


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("da", [">Gav karantæne", "25.11.2026 kl. 19.30", "nr.: 7"]),
        ("en", [">Banned somebody", "25/11/2026", "no.: 7"]),
    ],
)
def test_a_deed_is_told_in_words(app: App, language: str, told: list[str]) -> None:
    """With its time, account, reason and pseudonym; the whole key of a card is never shown."""
    put(app, Deed(Action.BAN_ADDED, (CARD,), "1001", "støj", {"number": 7}))
    page = client(app, language=language).get("/audit").text

    for text in (*told, "anne", "støj", "3f1c9a04", "1001"):
        assert text in page
    assert CARD.hex() not in page


def test_only_what_fits_is_shown_and_each_look_is_on_record(app: App) -> None:
    """By account and deed; the page after it tells of this one."""
    put(app, Deed(Action.OPENED_ONCE, why="rullestol"), Deed(Action.MODE_ENDED))
    manager = client(app)

    page = manager.get("/audit?account=anne&action=opened_once").text
    assert "rullestol" in page
    assert page.count(">anne</td>") == 1
    for days in ("since=2026-11-26", "until=2026-11-24"):
        assert ">anne</td>" not in manager.get(f"/audit?{days}").text
    assert manager.get("/audit?account=bo").text.count(">anne</td>") == 0
    assert manager.get("/audit?action=audit_read").text.count(">manager</td>") == 4


@pytest.mark.parametrize(
    "asked",
    ["since=x", "until=9999-12-31", "since=0001-01-01", "since=2026-02-02&until=2026-01-01"],
)
def test_days_that_make_no_sense_read_nothing(app: App, asked: str) -> None:
    """They are told, and no entry is shown: more than was asked for would be on record."""
    put(app, Deed(Action.OPENED_ONCE, why="rullestol"))
    answer = client(app).get(f"/audit?{asked}")

    assert answer.status_code == 422
    assert "rullestol" not in answer.text
    assert len(recorded(app.config)) == 1


def test_a_long_log_is_cut_and_says_so(app: App) -> None:
    """The newest are shown."""
    put(app, *(Deed(Action.MODE_ENDED) for _ in range(SHOWN + 2)))
    page = client(app).get("/audit").text

    assert page.count(">anne</td>") == SHOWN
    assert "2 ældre" in page


@pytest.mark.parametrize("export", [False, True])
def test_half_a_year_of_entries_keeps_no_other_page_waiting(
    app: App, monkeypatch: pytest.MonkeyPatch, *, export: bool
) -> None:
    """What fits is looked for beside the event loop, on the threads that pages have for it.

    Bug (read by a stranger): half a year of audit entries was sifted on the event loop, where
    every other page and the screen wait for it.
    """
    put(app, Deed(Action.MODE_ENDED))
    threads: set[str] = set()

    class Watched(tuple[Entry, ...]):
        """Notes on which thread entries are gone through."""

        __slots__ = ()

        def __reversed__(self) -> Iterator[Entry]:
            threads.add(threading.current_thread().name.partition("_")[0])
            return iter(self[::-1])

    found = branch.audit_entries
    watched = "doorctl.web.staff.records.audit_entries"
    monkeypatch.setattr(watched, lambda *args, **more: Watched(found(*args, **more)))
    asking = client(app)
    form = {"account": "anne"}
    answer = asking.post("/audit/export", data=form) if export else asking.get("/audit")

    assert (answer.status_code, threads) == (200, {"pages"})


def test_a_file_of_what_fits(app: App) -> None:
    """As JSON, asked for by a form, and on record as a look."""
    put(app, Deed(Action.BAN_ADDED, (CARD,), "1001", "støj"), Deed(Action.MODE_ENDED))
    answer = client(app).post("/audit/export", data={"action": "ban_added"})

    (entry,) = answer.json()
    assert (entry["action"], entry["cards"], entry["why"]) == ("ban_added", ["3f1c9a04"], "støj")
    assert "attachment" in answer.headers["content-disposition"]
    assert recorded(app.config)[-1][0] is Action.AUDIT_READ


def test_a_whole_chain_and_a_broken_one(app: App) -> None:
    """The end is shown to be compared; a break says which entry it is."""
    put(app, Deed(Action.MODE_ENDED))
    whole, end = client(app).post("/audit/verify").text, str(branch.audit_head(app))
    put(app, Deed(Action.MODE_ENDED))
    with closing(sqlite3.connect(app.branch_db)) as file, file:
        find = "SELECT name FROM sqlite_schema WHERE type = 'trigger'"
        for (trigger,) in file.execute(find).fetchall():
            file.execute(f"DROP TRIGGER {trigger}")
        file.execute("UPDATE audit SET record = '{}' WHERE number = 2")
    broken = client(app).post("/audit/verify").text

    assert "Intet er ændret, og intet mangler." in whole
    assert end in whole
    assert "Post 2 er ikke, som den blev skrevet." in broken


@pytest.mark.parametrize(
    ("by", "told"),
    [(SYNC, "Bibliotekssystemet"), (NOBODY, "(ikke logget på)"), (PROVIDER, "(kommunen)")],
)
def test_what_is_nobodys_account_is_told_in_words(app: App, by: str, told: str) -> None:
    """The sender of patrons, somebody who was refused, and the identity provider."""
    page = client(put(app, Deed(Action.MODE_ENDED), by=by)).get("/audit").text

    assert f">{told}</td>" in page
