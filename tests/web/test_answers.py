"""What a sender is answered, by a real web process over loopback: over HTTP and over NATS."""

from __future__ import annotations

import gzip
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from doorctl.rpc.client import ask
from doorctl.rpc.door import TRUST_CLOCK
from doorctl.rpc.messages import Line
from doorctl.store.tables import to_ms
from doorctl.sync.signing import SigningKey
from doorctl.sync.wire import Removal
from tests.extras.fleet.nats_server import serving_nats
from tests.fakes.waiting import LIMIT_S
from tests.web.branch import CHANGES, EPOCH, SNAPSHOT, Branch, row, rows
from tests.web.conftest import Branches
from tests.web.nats_fed import NatsFed


@pytest.fixture(scope="module", params=["http", "nats"])
def shared(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Branch]:
    """Give a running web process to tests that each begin with a snapshot of their own."""
    directory, most = tmp_path_factory.mktemp("shared"), "web.push.max_rows=2000"
    with ExitStack() as stack:
        if request.param == "http":
            branch = Branch(directory, most)
        else:
            server = stack.enter_context(serving_nats(directory))
            branch = NatsFed(directory, server, most)
        branch.start()
        stack.callback(branch.end)
        yield branch


def refusal(branch: Branch, document: bytes, **kind: Any) -> tuple[int, dict[str, Any]]:
    """Send a push that has to be refused and change nothing; return the answer."""
    before = branch.held()
    answer = branch.push(document, **kind)
    assert branch.held() == before
    return answer.status_code, answer.json()


@pytest.mark.parametrize("sent_as", ["it is", "gzip", "pieces"])
def test_a_snapshot_is_applied(shared: Branch, sent_as: str) -> None:
    """200 comes with the number of rows, and the cache then holds this push and no other rows.

    Gzip is told by its first byte, and pieces of unknown length are taken too.
    """
    epoch = shared.fill(60) + 1
    document = shared.document(rows(70), epoch, compress=sent_as == "gzip")
    pieces = (document[start : start + 500] for start in range(0, len(document), 500))

    content = pieces if sent_as == "pieces" else document
    answer = shared.ask("PUT", SNAPSHOT, content=content)

    assert answer.status_code == 200
    assert answer.json() == {"epoch": epoch, "applied": 70, "unchanged": False}
    held = shared.held()
    assert (held["epoch"], held["patrons"], len(held["digest"])) == (epoch, 70, 64)
    assert shared.wait_for("push", epoch=epoch, result="applied")


def test_changes_are_applied(shared: Branch) -> None:
    """Rows are added or replaced and patrons removed, the others stay."""
    epoch = shared.fill(60) + 1
    document = shared.document([row(60), row(61), Removal("1000")], epoch, kind="changes")

    answer = shared.push(document, kind="changes")

    assert answer.json() == {"epoch": epoch, "applied": 3, "unchanged": False}
    assert shared.held()["patrons"] == 61


def test_the_same_push_again_changes_nothing(shared: Branch) -> None:
    """A sender that has not heard the answer asks again and is answered the same, with 200."""
    epoch = shared.fill(60) + 1
    document = shared.document(rows(60), epoch)
    first = shared.push(document).json()

    again = shared.push(document)

    assert again.status_code == 200
    assert again.json() == {**first, "unchanged": True}
    assert shared.wait_for("push", epoch=epoch, result="unchanged")


Wrong = Callable[[Branch, int], bytes]

WRONG: dict[str, tuple[Wrong, int, str, str]] = {
    "unsigned": (lambda at, n: at.document(rows(9), n, key=SigningKey()), 401, "unsigned", ""),
    "older": (lambda at, n: at.document(rows(9), n - 2), 409, "out_of_order", "older than push"),
    "other rows": (lambda at, n: at.document(rows(99), n - 1), 409, "conflict", "other rows"),
    "too many rows": (lambda at, n: at.document(rows(2001), n), 413, "too_large", "2001 rows"),
    "another seal": (
        lambda at, n: at.document(rows(100), n, seal=type(at.seal)("00000000", 8, 1)),
        *(422, "invalid", ""),
    ),
    "an identifier twice": (lambda at, n: at.document([*rows(9), row(0)], n), 422, "invalid", ""),
    "too few": (
        lambda at, n: at.document(rows(300), n),
        *(422, "guarded", "shut out 100 of 400 cards (100 removed)"),
    ),
}


@pytest.mark.parametrize(("made", "status", "error", "why"), WRONG.values(), ids=WRONG)
def test_what_is_refused(shared: Branch, made: Wrong, status: int, error: str, why: str) -> None:
    """What is not signed, too much or of no use changes nothing, and is on the journal.

    Two senders, or a forger, have used one number, or a snapshot would shut out more than is
    likely: then somebody has to look.
    """
    shared.fill()
    epoch = shared.fill(400) + 1

    found, answer = refusal(shared, made(shared, epoch))

    assert (found, answer["error"]) == (status, error)
    assert why in answer.get("why", "")
    assert shared.wait_for("push", result=error)
    if error in {"conflict", "guarded"}:
        assert shared.wait_for("alarm", kind=f"push_{error}")["why"] == answer["why"]


def test_a_push_of_too_many_bytes_is_413(branches: Branches) -> None:
    """The answer to a body that is far longer than all buffers arrives all the same.

    What a small body unfolds to is counted too.
    """
    branch = branches("web.push.max_bytes=100_000")
    branch.start()
    small = branch.document(rows(500, tags=frozenset({"x" * 40})), 1, compress=True)

    assert len(small) < 100_000 < len(gzip.decompress(small))
    for document in (b"{" * 30_000_000, small):
        status, answer = refusal(branch, document)
        assert (status, answer["error"]) == (413, "too_large")


def test_wrong_rows_are_422_with_the_first_20(shared: Branch) -> None:
    """Each of the first twenty wrong lines is named, none of their content is repeated."""
    epoch = shared.fill() + 1
    wrong = replace(row(1), patron=replace(row(1).patron, patron_ref="far too secret"))
    document = shared.document([row(0), *[wrong] * 30], epoch)

    status, answer = refusal(shared, document)

    assert (status, answer["error"]) == (422, "invalid")
    assert [problem.split(":")[0] for problem in answer["problems"]] == [
        f"line {number}" for number in range(3, 23)
    ]
    assert "secret" not in str(answer)


@pytest.mark.parametrize(("path", "kind"), [(CHANGES, "snapshot"), (SNAPSHOT, "changes")])
def test_a_kind_belongs_to_its_address(shared: Branch, path: str, kind: Any) -> None:
    """A snapshot sent as changes, or the reverse, is refused."""
    epoch = shared.fill() + 1
    method = "PUT" if path == SNAPSHOT else "POST"

    answer = shared.ask(method, path, content=shared.document(rows(100), epoch, kind=kind))

    assert answer.status_code == 422
    assert answer.json()["problems"][0].startswith("line 1: kind: ")
    assert shared.held()["epoch"] == epoch - 1


def test_a_mass_widening_is_applied_and_an_alarm(shared: Branch) -> None:
    """All blocks are gone from the export: nobody is kept out by it, and somebody has to look.

    Bug (penetration test): an export without blocks was no alarm; push 1, with a byte every 20
    s, held the one place for pushes.
    """
    epoch = shared.fill(40) + 1
    blocked = rows(40, blocks=frozenset("U"))
    shared.push(shared.document(blocked, epoch, approved_by="Karen Testesen"))

    assert shared.push(shared.document(rows(40), epoch + 1)).status_code == 200
    alarm = shared.wait_for("alarm", kind="push_widened")
    assert alarm["why"] == f"push {epoch + 1}: it lets in 40 of 40 cards that were kept out"


@pytest.mark.parametrize(
    ("method", "path", "status", "error"),
    [
        ("GET", "/v1/nowhere", 404, "not_found"),
        ("GET", "/v1/patrons/epoch/", 404, "not_found"),
        ("PUT", "/v1/patrons/changes/%2e%2e", 404, "not_found"),
        ("GET", SNAPSHOT, 405, "wrong_method"),
        ("DELETE", SNAPSHOT, 405, "wrong_method"),
        ("PUT", CHANGES, 405, "wrong_method"),
        ("POST", EPOCH, 405, "wrong_method"),
    ],
)
def test_what_is_not_there(shared: Branch, method: str, path: str, status: int, error: str) -> None:
    """Another path is 404, another method 405, both as JSON."""
    answer = shared.ask(method, path)

    assert (answer.status_code, answer.json()) == (status, {"error": error})


@pytest.mark.parametrize("path", [EPOCH, SNAPSHOT, "/v1/nowhere"])
def test_headers_of_every_answer(shared: Branch, path: str) -> None:
    """Nothing is to be cached, the connection ends, and the server does not say what it is."""
    headers = Branch.ask(shared, "GET", path).headers

    assert headers["cache-control"] == "no-store"
    assert headers["connection"] == "close"
    assert headers["content-type"] == "application/json"
    assert "server" not in headers


def test_no_line_of_the_log_or_of_stderr_tells_of_a_person(shared: Branch) -> None:
    """Lines hold fixed words and numbers, there is no access log and no traceback."""
    shared.fill()
    shared.ask("GET", "/v1/patrons/0101701234")

    assert {line["event"] for line in shared.lines} <= {"ready", "push", "alarm", "nats"}
    assert "0101701234" not in str(shared.lines) + shared.errors()
    assert "Traceback" not in shared.errors()


def test_what_staff_say_of_the_clock_holds_for_pushes(branches: Branches) -> None:
    """A push after they have said that it is right is dated by it, not by the doubt before.

    Bug (reading): web's pushes had a clock of their own, which never heard that staff had ended
    a doubt: the register looked too old, or of the future.
    """
    branch = branches()
    path = branch.directory / "visits.db"
    ahead = to_ms(datetime.now(UTC) + timedelta(days=25_000))
    with closing(sqlite3.connect(path)) as visits, visits:
        visits.execute("INSERT OR REPLACE INTO clock (only, high_water_ms) VALUES (1, ?)", (ahead,))
    branch.start()
    branch.fill(60)

    ask(branch.config.web.socket, Line(TRUST_CLOCK.name), timeout_s=LIMIT_S)
    branch.fill(61)

    with closing(sqlite3.connect(branch.directory / "patrons.db")) as patrons:
        (applied_at,) = patrons.execute("SELECT applied_at FROM cache").fetchone()
    assert abs(datetime.now(UTC) - datetime.fromisoformat(applied_at)) < timedelta(minutes=5)


def test_a_rehearsal_answers_as_the_push_would_and_changes_nothing(shared: Branch) -> None:
    """Neither kind of push, nor a guard that refuses, leaves a row, an entry or an alarm."""
    branch, epoch = shared, shared.fill(400) + 1
    held, lines = branch.held(), len(branch.lines)
    snapshot = branch.document(rows(399), epoch)
    changes = branch.document([row(500)], epoch, kind="changes")
    few = branch.document(rows(100), epoch)
    stranger = branch.document(rows(399), epoch, key=SigningKey())

    answers = [
        branch.ask("POST", "/v1/patrons/rehearsal", content=one)
        for one in (snapshot, changes, few, stranger)
    ]

    assert [one.status_code for one in answers] == [200, 200, 422, 401]
    assert answers[0].json() == {"epoch": epoch, "applied": 399, "unchanged": False}
    assert "shut out 300 of 400" in answers[2].json()["why"]
    assert branch.held() == held
    assert branch.push(snapshot).status_code == 200
    assert branch.held()["epoch"] == epoch
    branch.wait_for("push", epoch=epoch, result="applied")
    told = {line["kind"] for line in branch.lines[lines:] if line["event"] == "alarm"}
    assert told <= {"push_approved"}, "of what filled it"
