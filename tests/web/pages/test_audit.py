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
from doorctl.web.staff.records import DETAILS, SHOWN, VALUES, audit_pages
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
    text = path.read_text(encoding="utf-8")
    # To parse every file takes seconds.
    for node in ast.walk(ast.parse(text if "details=" in text else "")):
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


SAID = (
    (Deed(Action.MODE_SET, details={"mode": "lockdown"}), ": Nødlukket"),
    (Deed(Action.PASS_ISSUED, details={"kind": "cleaner"}), "art: Rengøring"),
    (Deed(Action.PUSH_APPLIED, details={"kind": "changes"}), "art: det, der er ændret"),
    (Deed(Action.SIGN_IN_REFUSED, details={"why": "wrong"}), "forkert navn eller adgangskode"),
    (Deed(Action.PAGE_REFUSED, details={"needs": "subject_rights"}), "kræver retten: "),
    (Deed(Action.PAGE_REFUSED, details={"page": "/people"}), "side: Den registreredes rettigheder"),
    (Deed(Action.ACCOUNT_CHANGED, details={"role": "dpo"}), "rolle: Databeskyttelsesrådgiver"),
    (Deed(Action.CALENDAR_CHANGED, details={"day": "2026-12-24"}), "dag: 24.12.2026"),
    (
        Deed(Action.HOLD_ADDED, details={"until": "2026-11-27T22:00:00+00:00"}),
        "27.11.2026 kl. 23.00",
    ),
    (Deed(Action.BACKUP_RESTORED, details={"made": "2026-11-24 03:10"}), "24.11.2026 kl. 03.10"),
    (Deed(Action.ALARM_ACKNOWLEDGED, details={"alarm": "reader_lost"}), "alarm: Kortlæseren"),
    (Deed(Action.BANS_LISTED, why="letter about ban 1"), "Brev om karantæne 1"),
    (Deed(Action.SUBJECT_EXPORTED, details={"rows": 18}), "<small>rækker: 18<"),
    (Deed(Action.BANS_LISTED, details={"letter": 1}), "brev om karantæne nr.: 1"),
)


def test_details_are_told_in_words_and_in_local_time(app: App) -> None:
    """A mode, kind, role, right, page, alarm, day and time; no key and no UTC.

    Bug (review of the pages): the page said `fordi: wrong`, `kræver retten: subject_rights` and
    `indtil: 2026-11-27T22:00:00+00:00`.

    Bug (the page, looked at): an export of a person stood there with "rows deleted: 18".
    """
    page = client(put(app, *(deed for deed, _ in SAID))).get("/audit").text

    for deed, said in SAID:
        assert said in page
        raw = {*deed.details.values(), deed.why} - {"", 1, 18}
        assert [one for one in raw if f": {one}<" in page or f">{one}<" in page] == []


@pytest.mark.parametrize("name", VALUES)
def test_every_value_that_has_a_name_has_a_danish_one(name: str) -> None:
    """A new mode, role or right needs words; the lists are whole by their enumerations."""
    danish = LANGUAGES.chosen("da").words

    assert [text for text in VALUES[name].values() if danish.gettext(text) == text] == []


def test_sign_ins_hide_nothing_else(app: App) -> None:
    """They are left out until asked for, by the tick or by the deed, and the page says how many."""
    put(app, Deed(Action.SIGNED_IN), Deed(Action.SIGNED_OUT), Deed(Action.OPENED_ONCE, why="bud"))
    manager = client(app)
    usual = manager.get("/audit").text

    assert "2 gange, hvor nogen loggede på eller af," in usual
    assert (usual.count(">anne</td>"), "bud" in usual) == (1, True)
    assert manager.get("/audit?sign_ins=yes").text.count(">anne</td>") == 3
    assert manager.get("/audit?action=signed_in").text.count(">anne</td>") == 1
    assert len(manager.post("/audit/export", data={"account": "anne"}).json()) == 3


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
    with closing(sqlite3.connect(app.storage.branch_db)) as file, file:
        find = "SELECT name FROM sqlite_schema WHERE type = 'trigger'"
        for (trigger,) in file.execute(find).fetchall():
            file.execute(f"DROP TRIGGER {trigger}")
        file.execute("UPDATE audit SET record = '{}' WHERE number = 2")
    broken = client(app).post("/audit/verify").text

    assert "Intet er ændret, og intet mangler." in whole
    assert end in whole
    assert "Post 2 er ændret, efter at den blev skrevet." in broken


@pytest.mark.parametrize(
    ("by", "told"),
    [(SYNC, "Bibliotekssystemet"), (NOBODY, "(ikke logget på)"), (PROVIDER, "(kommunen)")],
)
def test_what_is_nobodys_account_is_told_in_words(app: App, by: str, told: str) -> None:
    """The sender of patrons, somebody who was refused, and the identity provider."""
    page = client(put(app, Deed(Action.MODE_ENDED), by=by)).get("/audit").text

    assert f">{told}</td>" in page
