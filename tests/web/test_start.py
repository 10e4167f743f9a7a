"""What keeps the web process from starting, and what it keeps others from.

Bug (robustness review): a load beside web was refused only after half an hour of sealing.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from doorctl.access.patron import Patron
from doorctl.config.tables import Tls
from doorctl.core.errors import KeyFileError
from doorctl.sync.wire import Line, Removal
from doorctl.web.tls import refuse_unusable
from tests.browser.house import CARD, PIN
from tests.e2e.door import Staged
from tests.fakes.cards import plastic, sealed
from tests.fakes.waiting import LIMIT_S
from tests.store.samples import files_of
from tests.web.branch import Branch, row, rows
from tests.web.certificates import Authority
from tests.web.conftest import Branches

LOOKED_AT = """
import os, sys
port = int(sys.argv.pop(1))
def look(event, about):
    if event == "compile" and "/web/templates/" in str(about[1]):
        os.write(2, b"compiled\\n")
    elif event == "socket.bind" and about[1][1:] == (port,):
        os.write(2, ("bound " + " ".join(sys.modules) + "\\n").encode())
sys.addaudithook(look)
from doorctl.cli.app import main
main()
"""
"""Runs doorctl and tells of what the interpreter itself reports (PEP 578), in its order."""

UNUSED = {
    "apscheduler", "authlib", "cryptography", "gpiozero", "holidays", "httpx2", "nats", "serial",
    "smtplib",
}  # fmt: skip


def keyless(branch: Branch) -> Branch:
    """Return a branch whose key is where only the door has it."""
    key = branch.directory / "only-the-doors" / "installation.key"
    branch.stage.options += ["--set", f"secrets.installation_key_file={key}"]
    return branch


def refusal(branch: Branch, *words: str, **overrides: str) -> str:
    """Run a command that has to fail with exit 1 and one line on stderr alone; return the line."""
    for key, value in overrides.items():
        branch.stage.options += ["--set", f"{key.replace('__', '.')}={value}"]
    done = branch.stage.call(*(words or ("web",)))
    assert (done.returncode, done.stdout) == (1, ""), done
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def test_a_port_that_is_taken(branches: Branches) -> None:
    """An address that another process has is told with its keys."""
    branch = branches()
    with closing(socket.create_server(("127.0.0.1", branch.port))):
        line = refusal(branch)

    assert f"127.0.0.1 port {branch.port} can't be listened on: Address already in use" in line


@pytest.mark.parametrize("missing", ["certificate", "key", "client_ca"])
def test_files_of_tls_that_are_not_there(tmp_path: Path, missing: str) -> None:
    """The missing one is named."""
    authority = Authority(tmp_path, "authority")
    certificate, key = authority.issue("branch")
    files = Tls(certificate_file=certificate, key_file=key, client_ca_file=authority.path)
    gone = {f"{missing}_file": Path("/nowhere/x.pem")}

    with pytest.raises(KeyFileError, match=r"/nowhere/x\.pem can't be read"):
        refuse_unusable(replace(files, **gone))


def test_files_of_tls_that_do_not_belong_together(branches: Branches, tmp_path: Path) -> None:
    """The key of another certificate is refused."""
    authority = Authority(tmp_path, "authority")
    certificate, _ = authority.issue("branch")
    _, key = authority.issue("other")

    line = refusal(
        branches(), web__tls__certificate_file=str(certificate), web__tls__key_file=str(key)
    )

    assert "web.tls" in line


def test_a_public_key_that_is_not_there(branches: Branches) -> None:
    """A key whose signature is to be believed has to be there."""
    line = refusal(branches(), web__push__public_key_files='["/nowhere/push.pub"]')

    assert "/nowhere/push.pub is missing" in line


def test_one_key_takes_over_from_another(branches: Branches) -> None:
    """While a sender's key is replaced, pushes signed by either are taken."""
    old, new = branches(), branches()
    files = f'["{old.directory / "push.pub"}", "{new.directory / "push.pub"}"]'
    branch = branches(f"web.push.public_key_files={files}")
    branch.start()

    first = branch.push(branch.document(rows(60), 1, key=old.key))
    second = branch.push(branch.document(rows(61), 2, key=new.key))

    assert (first.status_code, second.status_code) == (200, 200)


def test_a_feed_is_not_loaded_beside_it(branches: Branches) -> None:
    """While the web process runs it is the one writer; a second one is refused too."""
    branch = branches()
    feed = branch.directory / "feed.ndjson"
    feed.write_text(
        '{"patronId":1,"identifiers":[{"identifier":"3000001234","identifierType":"CARD",'
        '"status":"ACTIVE"}],"pincode":"4711","resident":true,"birthday":"1970-01-01"}\n'
    )
    branch.start()

    done = branch.stage.call("patrons", "load", str(feed), "--full")

    assert done.returncode == 1
    assert "another doorctl process is writing" in done.stderr
    assert "stop it for the load (systemctl stop doorctl-web), or push instead" in done.stderr
    assert "Sealing" not in done.stderr + done.stdout
    assert "another doorctl process is writing" in refusal(branch)
    assert branch.held()["epoch"] == 0


def test_a_secret_that_is_missing_keeps_nobody_out(branches: Branches) -> None:
    """Without mail, webhook and library system pushes still come in; the journal says of each.

    Bug (robustness review): a missing mail password, webhook secret or library password kept
    web from starting, and pushes out.
    """
    branch = branches(
        "alarms.email.host=127.0.0.1",
        "alarms.email.sender=doorctl@r.example",
        'alarms.email.to=["vagt@r.example"]',
        "alarms.email.user=doorctl",
        "alarms.email.password_file=/nowhere/mail.password",
        "alarms.webhook.url=https://127.0.0.1:1/",
        "alarms.webhook.secret_file=/nowhere/webhook.secret",
        "lms.kind=sip2",
        "lms.url=sip2s://127.0.0.1:1",
        "lms.agency=DK-773000",
        "lms.user=doorctl",
        "lms.password_file=/nowhere/lms.password",
    )
    branch.start()

    assert branch.push(branch.document(rows(1), 1)).status_code == 200
    told = [(line["kind"], line["why"]) for line in branch.lines if line["event"] == "alarm"]
    missing = "can't be read: No such file or directory"
    assert ("alarm_not_sent", f"e-mail: /nowhere/mail.password {missing}") in told
    assert ("alarm_not_sent", f"webhook: /nowhere/webhook.secret {missing}") in told
    assert ("library_silent", f"/nowhere/lms.password {missing}") in told


def test_the_installation_key_is_not_needed(branches: Branches) -> None:
    """On a branch only the door can read it; which key it is stands in the cache."""
    branch = keyless(branches())
    branch.start()

    assert branch.push(branch.document(rows(1), 1)).status_code == 200


def test_without_key_and_cache_it_does_not_start(branches: Branches) -> None:
    """Where nothing says what rows have to be sealed with, the way out is told."""
    branch = keyless(branches())
    (branch.directory / "patrons.db").unlink()

    assert "run `doorctl init`" in refusal(branch)


@pytest.mark.parametrize("name", ["patrons.db", "visits.db", "branch.db"])
def test_one_changed_byte_of_a_schema(branches: Branches, name: str) -> None:
    """What SQLite quotes of a damaged file is no UTF-8: web starts and answers all the same.

    The register is set aside, with an alarm; the door log is the door's; the file of bans, of whose
    schema nothing is left, stays where it is, and no push comes in that might bring back whoever
    was erased.
    """
    branch = branches()
    path = branch.directory / name
    path.write_bytes(path.read_bytes().replace(b"CREATE TABLE", b"CREA\x8aE TABLE"))

    branch.start()

    assert branch.held()["epoch"] == 0
    pushed = branch.push(branch.document(rows(1), 1)).status_code
    assert pushed == (500 if name == "branch.db" else 200)
    aside = list(branch.directory.glob("patrons.db.damaged-*"))
    assert bool(aside) is (name == "patrons.db")
    assert not aside or branch.lines[0]["kind"] == "store_damaged"


def test_a_wrong_bit_in_a_row_calls_for_the_whole_register_by_itself(branch: Branch) -> None:
    """The sender's next question is answered without a digest, told once; a snapshot ends it.

    In a row's key no swipe would meet it; web reads all rows once after each start.

    Bug (second penetration test, S9): a wrong bit in a row stayed until somebody sent all rows.
    """
    branch.fill()
    held = branch.held()
    assert held["digest"]
    branch.end()
    path = branch.directory / "patrons.db"
    key = row(7).row_key
    path.write_bytes(path.read_bytes().replace(key, bytes([key[0] ^ 1]) + key[1:]))
    branch.start()

    for _ in range(2):
        asked = branch.held()
        assert (asked["epoch"], asked["digest"]) == (held["epoch"], "")
    told = [line["why"] for line in branch.lines if line.get("kind") == "store_damaged"]
    assert told == ["patrons.db has wrong bits; the sender is called for the whole register"]

    epoch = branch.fill()
    assert branch.held() == {**branch.held(), "epoch": epoch, "patrons": 100}
    assert branch.held()["digest"]


def test_it_listens_before_it_compiles_its_pages(branches: Branches) -> None:
    """On a slow board a push or the panel would wait for pages that nobody has asked for yet.

    What no branch of this configuration needs is not even imported.

    Bug (outside look): web listened only once all pages were compiled, nearly half of its
    start: on a slow board pushes and panel waited for them.
    """
    branch = branches()
    words = (str(branch.port), *branch.stage.command("web")[3:])
    with subprocess.Popen(
        [sys.executable, "-c", LOOKED_AT, *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        seen = [process.stderr.readline() for _ in range(2)]
        process.send_signal(signal.SIGTERM)
        process.stderr.read()

    assert [line.split()[0] for line in seen] == ["bound", "compiled"]
    assert not UNUSED & {name.split(".")[0] for name in seen[0].split()}


PERSON = row(7)


def test_the_running_owner_restricts_erases_and_goes_on_taking_pushes(branch: Branch) -> None:
    """A restriction is no affair of the pushes, and it ends.

    Of whoever is erased no byte is left; the next push of the library system counts, whoever it
    still has.
    """

    def call(*words: str) -> str:
        """Run a subject command that has to work; return what it said."""
        done = branch.stage.call("subject", *words, "--patron-ref", PERSON.patron.patron_ref)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def pushed(epoch: int) -> int:
        """Push ten patrons; return how many cards are held."""
        assert branch.push(branch.document(rows(10), epoch)).status_code == 200
        return int(branch.held()["patrons"])

    assert pushed(5) == 10
    call("restrict")
    assert pushed(6) == 10
    assert '"restrictions"' in call("export", "--json")
    call("unrestrict")
    assert '"restrictions"' not in call("export", "--json")
    assert "library system too" in call("erase")

    assert (branch.held()["epoch"], branch.held()["patrons"]) == (6, 9)
    assert [
        name for name, content in files_of(branch.directory).items() if PERSON.row_key in content
    ] == []
    assert pushed(7) == 10


PATRON = Patron("1001", resident=True)

FOREIGN = ("starlette", "uvicorn", "h11", "nacl", "httpx2")


@pytest.fixture
def beside(branch: Branch) -> Iterator[Branch]:
    """A branch whose web process runs and holds one patron; its door has not been started."""
    with branch.stage:
        assert (
            branch.push(
                branch.document([sealed(branch.sealer, plastic(CARD), PATRON, PIN), row(2)], 1)
            ).status_code
            == 200
        )
        yield branch


def test_a_probe_sees_whether_the_door_decides(beside: Branch) -> None:
    """Web serves either way; the door's end, a stop in its tracks and its return show."""

    def probed() -> tuple[int, int]:
        both = [beside.ask("GET", path) for path in ("/healthz", "/readyz")]
        assert {answer.headers["content-type"] for answer in both} == {"text/plain; charset=utf-8"}
        assert str(beside.directory) not in both[1].text
        return both[0].status_code, both[1].status_code

    assert probed() == (200, 503)
    beside.stage.start()
    assert probed() == (200, 200)
    assert beside.stage.pid is not None
    os.kill(beside.stage.pid, signal.SIGSTOP)
    try:
        assert probed() == (200, 503)
    finally:
        os.kill(beside.stage.pid, signal.SIGCONT)


def changed(branch: Branch, epoch: int, *lines: Line) -> None:
    """Push changes, and have them applied."""
    document = branch.document(lines, epoch, kind="changes")
    assert branch.push(document, kind="changes").status_code == 200


def test_a_patron_who_was_pushed_comes_in_and_a_removed_one_does_not(beside: Branch) -> None:
    """The door uses a push from the next swipe on, without being told."""
    beside.stage.start()
    assert beside.decided(CARD, PIN) == "ok"
    beside.stage.wait_for("door", state="locked", timeout_s=LIMIT_S)

    changed(beside, 2, Removal("1001"))

    assert beside.decided(CARD, PIN) == "unknown_card"

    changed(beside, 3, sealed(beside.sealer, plastic(CARD), PATRON, PIN))

    assert beside.decided(CARD, PIN) == "ok"


def test_the_door_goes_on_deciding_without_it(beside: Branch) -> None:
    """Killed in the middle of a push, the web process takes nothing of the door with it."""
    beside.stage.start()
    stolen = sealed(beside.sealer, plastic(CARD), replace(PATRON, blocks=frozenset({"O"})), PIN)
    with closing(beside.hanging(beside.document([stolen], 2), 300)):
        beside.end(signal.SIGKILL)

    assert beside.decided(CARD, PIN) == "ok"


def test_the_door_loads_nothing_of_the_web_process(
    beside: Branch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither at its start nor for a decision does the door load a server or a signature."""
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    monkeypatch.setattr(Staged, "forked", False)
    beside.stage.start()
    assert beside.decided(CARD, PIN) == "ok"
    beside.stage.stop()

    profile = (beside.directory / "door.stderr").read_text(encoding="utf-8")
    modules = [line.rpartition("|")[2].strip() for line in profile.splitlines()]
    assert "doorctl.doord.controller" in modules
    assert [name for name in modules if name.partition(".")[0] in FOREIGN] == []
    assert [name for name in modules if name.startswith("doorctl.web")] == []
