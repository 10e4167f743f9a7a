"""A backup that only its recipients open, and a door that comes back from it on an empty card.

Bug (operations review): what has to be copied stood in no one place, and nothing put it back.

Bug (operations review): a copy of `branch.db` by `cp` lacked a ban that had just been set, and no
command made a better one.
"""

from __future__ import annotations

import base64
import getpass
import json
import os
import shutil
import socket
import sqlite3
import ssl
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx2
import pyotp
import pytest

from doorctl.store.writer import WriterLock
from tests.e2e.conftest import CONFIG, Doors
from tests.e2e.door import COMMANDS, Door, refusal, web
from tests.e2e.people import ENTITLED, TODAY, Person
from tests.fakes.waiting import LIMIT_S
from tests.sources.http_server import free_port
from tests.web.certificates import Authority

BANNED = Person("3000009876", "2580")


def program(name: str) -> str:
    """Return where a program is; without it skip, but fail in CI."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail(f"CI has to have {name}")
        pytest.skip(f"this machine has no {name}")
    return found


@dataclass
class Card:
    """A Pi's card: `etc` is root's directory, `data` the databases'; `outside` is another machine.

    `key` is the private key that lies there.
    """

    root: Path
    outside: Path
    feed: Path
    pins: Path

    @contextmanager
    def browser(self) -> Iterator[httpx2.Client]:
        """Run the card's web process, and give a browser that nobody is signed in with."""
        port = free_port()
        words = ("web", f"--config={self.etc / 'doorctl.toml'}", f"--set=web.port={port}")
        with (
            web([sys.executable, "-m", "doorctl", *words]),
            httpx2.Client(
                base_url=f"http://127.0.0.1:{port}",
                headers={"Sec-Fetch-Site": "same-origin", "Accept": "text/html"},
                timeout=LIMIT_S,
                trust_env=False,
            ) as client,
        ):
            yield client

    @property
    def etc(self) -> Path:
        """Where the configuration is."""
        return self.root / "etc"

    @property
    def data(self) -> Path:
        """Where the databases are."""
        return self.root / "data"

    @property
    def key(self) -> Path:
        """The private key of age."""
        return self.outside / "key.txt"

    def write_config(self, *backup: str, branch: str = "proeve") -> None:
        """Write the configuration, with more lines of [backup]."""
        self.etc.mkdir(parents=True, exist_ok=True)
        self.data.mkdir(exist_ok=True)
        recipient = next(
            line.split()[-1] for line in self.key.read_text().splitlines() if "public" in line
        )
        text = (
            CONFIG.replace('"proeve"', f'"{branch}"')
            .replace('directory = "replaced"', f'directory = "{self.data}"')
            .replace('installation_key_file = "replaced"', 'installation_key_file = "the.key"')
            .replace('port = "replaced"', f'port = "{self.data}/reader"')
        )
        lines = [f'[backup]\nrecipients = ["{recipient}"]', *backup]
        if not any(line.startswith("directory") for line in backup):
            lines.insert(1, f'directory = "{self.outside}/kept"')
        (self.etc / "doorctl.toml").write_text(text + "\n".join(lines), encoding="utf-8")

    def call(
        self, *words: str, stdin: str = "", ok: bool = True, path: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command with this card's configuration."""
        environment = {**os.environ, "PATH": path or os.environ["PATH"]}
        whole = [*words, f"--config={self.etc / 'doorctl.toml'}"]
        done = COMMANDS.run(whole, environment, stdin)
        assert (done.returncode == 0) is ok, done.stderr
        return done

    def backup(self) -> Path:
        """Make a backup and return its file."""
        said = self.call("backup").stdout
        return Path(said.removeprefix("made ").partition("\n")[0])

    def restore(self, file: Path, *words: str, ok: bool = True) -> str:
        """Put a backup back; return what was said, of a refusal its one line."""
        done = self.call("restore", str(file), "--identity", str(self.key), *words, ok=ok)
        if ok:
            return done.stdout
        assert done.stderr.count("\n") == 1
        return done.stderr

    def throw_away(self) -> None:
        """Delete everything on the card."""
        shutil.rmtree(self.root)

    def content(self) -> dict[str, bytes]:
        """Return all files on the card but locks."""
        files = (path for path in self.root.rglob("*") if path.is_file())
        return {str(path): path.read_bytes() for path in files if path.suffix != ".lock"}

    def door(self) -> Door:
        """Return the card's door."""
        key = f"secrets.installation_key_file={self.etc / 'the.key'}"
        return Door(self.data, self.etc / "doorctl.toml", [key], pins=self.pins)


@pytest.fixture
def card(tmp_path: Path, doors: Doors) -> Card:
    """A card of a branch with a ban, a pass and an account; nobody's patrons are loaded."""
    program("age")
    card = Card(tmp_path / "card", tmp_path / "outside", doors.feed, doors.pins)
    card.outside.mkdir()
    subprocess.run(["age-keygen", "-o", card.key], check=True, capture_output=True)
    card.write_config()
    card.call("init")
    card.call("bans", "add", BANNED.number, "--as", "card", "--reason", "uro")
    return card


def test_the_card_is_thrown_away_and_the_door_comes_back(card: Card, tmp_path: Path) -> None:
    """Backup, an empty card, restore, a full register: who was let in is, who was banned is not."""
    rows = [json.loads(line) for line in card.feed.read_text().splitlines()]
    feed = tmp_path / "feed.ndjson"
    feed.write_text("".join(json.dumps(r) + "\n" for r in (*rows, BANNED.feed_row(9876))))
    issue = ("passes", "add", "3000005555", "--as", "card", "--kind", "cleaner")
    card.call(*issue, "--to", f"{TODAY + timedelta(days=90)}", "--label", "rengøring")
    add = ("staff", "add", "anna", "--role", "manager", "--password-stdin")
    card.call(*add, stdin="correct horse battery staple\n")
    os.utime(card.etc / "the.key", (1.7e9, 1.7e9))
    file = card.backup()
    sealed = file.read_bytes()
    assert sealed.startswith(b"age-encryption.org/v1\n")
    assert b"doorctl" not in sealed
    assert stat.S_IMODE(file.stat().st_mode) == 0o600

    card.throw_away()
    said = card.restore(file)

    assert "branch_rolled_back" in said
    assert "anna" in card.call("staff", "list").stdout
    assert "rengøring" in card.call("passes", "list").stdout
    assert "backup_restored" in card.call("audit", "list").stdout
    key = (card.etc / "the.key").stat()
    assert (stat.S_IMODE(key.st_mode), key.st_mtime) == (0o600, 1.7e9)
    card.call("patrons", "load", str(feed), "--full")
    with card.door() as door:
        door.start()
        door.let_in(ENTITLED)
        assert door.visit(BANNED)["reason"] == "banned"


PASSWORD, OWN = "hest batteri klamme", "lampe tirsdag fjord"
SIGN_IN, ME, FACTOR = "/sign-in", "/me", "/me/factor"


@dataclass
class App:
    """Somebody's app, which shows a code for each half minute."""

    secret: str
    shown: int = 0

    def code(self) -> str:
        """Return a code later than the last: the pages take none twice."""
        now = int(time.time() // 30)
        self.shown = max(self.shown + 1, now) if self.shown else now - 1
        return pyotp.TOTP(self.secret).at(self.shown * 30)


def sign_in(card: Card, name: str, app: App | None) -> tuple[int, str]:
    """Sign in at a web process that was just started; return the status, and what is said."""
    form = {"name": name, "password": OWN}
    with card.browser() as browser:
        answer = browser.post(SIGN_IN, data=form | ({} if app is None else {"code": app.code()}))
        return answer.status_code, answer.text


def test_everybody_signs_in_as_before(card: Card) -> None:
    """By password alone, by the code of an app, by one on paper; and by nothing less.

    Bug (second penetration test, plant 7): a backup without the second factors' key was noticed by
    no test, and after it whoever had an app could not sign in.
    """
    apps: dict[str, App | None] = {}
    on_paper = ""
    for name in ("anna", "dorthe"):
        add = ("staff", "add", name, "--role", "manager", "--password-stdin")
        card.call(*add, stdin=f"{PASSWORD}\n")
        with card.browser() as browser:
            browser.post(SIGN_IN, data={"name": name, "password": PASSWORD})
            browser.post(ME, data={"old": PASSWORD, "new": OWN, "again": OWN})
            apps[name] = None
            if name == "dorthe":
                begun = browser.post(FACTOR, data={"begin": ""}).text
                secret = begun.partition('name="secret" value="')[2][:32]
                app = apps[name] = App(secret)
                done = browser.post(FACTOR, data={"secret": secret, "code": app.code()}).text
                on_paper = done.partition("<li><code>")[2].partition("<")[0]
    before = {name: sign_in(card, name, app)[0] for name, app in apps.items()}
    file = card.backup()
    card.throw_away()
    card.restore(file)

    assert before == {"anna": 303, "dorthe": 303}
    assert {name: sign_in(card, name, app)[0] for name, app in apps.items()} == before
    assert sign_in(card, "dorthe", None)[0] == 403
    with card.browser() as browser:
        form = {"name": "dorthe", "password": OWN, "code": on_paper}
        assert browser.post(SIGN_IN, data=form).status_code == 303


def test_a_backup_while_all_runs_has_the_last_ban(card: Card) -> None:
    """What still lies in the WAL is in it; neither visits nor patrons are."""
    with card.door() as door:
        door.start()
        card.call("bans", "add", "--patron-ref", "9077001", "--reason", "trial")
        file = card.backup()
    card.throw_away()
    said = card.restore(file)

    assert "9077001" in card.call("bans", "list", "--json").stdout
    assert {line.strip() for line in said.splitlines() if line.startswith("  ")} == {
        "branch.db",
        "doorctl.toml",
        "beside/the.key",
    }


def test_catalogues_of_further_languages_are_in_it(card: Card) -> None:
    """Those that were dropped beside the configuration.

    Bug (a second reading): a branch's own catalogues were looked for in folders where none lie, and
    so were in no backup.
    """
    locale = card.etc / "locale"
    locale.mkdir()
    (locale / "uk.po").write_text('msgid ""\nmsgstr ""\n')
    card.call("backup", "--set", f"web.catalogues={locale}")
    (made,) = (card.outside / "kept").glob("*.age")

    assert "  beside/locale/uk.po\n" in card.restore(made, "--replace")


def test_so_many_are_kept(card: Card) -> None:
    """The oldest go, other files and other branches' backups stay."""
    card.write_config("keep = 2")
    kept = card.outside / "kept"
    kept.mkdir()
    for name in ("proeve-20200101T000000Z", "proeve-20200102T000000Z", "proeve-2-20200101T000000Z"):
        (kept / f"doorctl-{name}.age").touch()
    made = card.backup()

    assert {path.name for path in kept.iterdir()} == {
        made.name,
        "doorctl-proeve-20200102T000000Z.age",
        "doorctl-proeve-2-20200101T000000Z.age",
    }


def test_a_living_installation_is_not_replaced_unless_told(card: Card) -> None:
    """Nor while door or web runs, nor by one that has another key or is of another branch."""
    file = card.backup()
    before = card.content()

    assert "--replace" in card.restore(file, ok=False)
    with closing(WriterLock(card.data / "visits.db")):
        assert "writing" in card.restore(file, "--replace", ok=False)
    key = card.etc / "the.key"
    old = key.read_bytes()
    key.write_bytes(bytes(32))
    assert "another key" in card.restore(file, "--replace", ok=False)
    key.write_bytes(old)
    card.write_config(branch="other")
    assert "it is of branch proeve, and this is other" in card.restore(file, "--replace", ok=False)
    card.write_config()
    assert card.content() == before

    card.call("bans", "add", "--patron-ref", "9077001", "--reason", "trial")
    card.restore(file, "--replace")
    assert "9077001" not in card.call("bans", "list", "--json").stdout


def test_what_is_no_whole_backup_changes_nothing(card: Card) -> None:
    """Cut off, changed by a bit, empty, of another key, or of a doorctl to come."""
    file = card.backup()
    whole = file.read_bytes()
    card.throw_away()
    wrong = card.outside / "wrong.age"
    for content in (whole[:-1], whole[: len(whole) // 2], b"", whole[:-100] + bytes(100), b"x"):
        wrong.write_bytes(content)
        assert "can't be opened" in card.restore(wrong, ok=False)
    (card.outside / "old.txt").write_bytes(card.key.read_bytes())
    card.key.unlink()
    subprocess.run(["age-keygen", "-o", card.key], check=True, capture_output=True)
    assert "no identity matched" in card.restore(file, ok=False)

    assert not card.root.exists()


def test_without_recipients_none_is_made(card: Card) -> None:
    """And the line says how to make a key."""
    done = card.call("backup", "--set", "backup.recipients=[]", ok=False)

    assert "age-keygen" in done.stderr
    assert not (card.outside / "kept").exists()


def test_a_backup_that_fails_leaves_none(card: Card) -> None:
    """No age, no room, no directory: one line, and the older ones stay."""
    kept = card.outside / "kept"
    first = card.backup()
    assert "apt install age" in card.call("backup", ok=False, path="/nowhere").stderr
    blocked = f"backup.directory={card.etc}/doorctl.toml/kept"
    assert "can't be written" in card.call("backup", "--set", blocked, ok=False).stderr
    full = "backup.directory=/dev/full/kept"
    assert "can't be written" in card.call("backup", "--set", full, ok=False).stderr

    assert list(kept.iterdir()) == [first]


BAN = ("bans", "add", "--patron-ref", "1001", "--reason", "trial")


def bans(path: Path) -> int:
    """Return how many bans stand in a file."""
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        (count,) = database.execute("SELECT count(*) FROM bans").fetchone()
        return int(count)


def test_a_copy_holds_what_was_done_last(door: Door, tmp_path: Path) -> None:
    """Though it still lies in the WAL, which `cp` misses; it says what else has to be copied."""
    assert door.call(*BAN).returncode == 0
    records, copy = door.directory / "branch.db", tmp_path / "copy.db"
    (door.directory / "second_factor.key").touch()
    # One that stays open leaves what it did in the WAL.
    with closing(sqlite3.connect(records)) as other:
        other.execute("DELETE FROM bans")
        other.commit()
        shutil.copy(records, tmp_path / "cp.db")

        done = door.call("backup", str(copy))

    assert (done.returncode, done.stderr) == (0, "")
    assert (bans(copy), bans(tmp_path / "cp.db")) == (0, 1)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.glob("copy.db*")] == ["copy.db"]
    assert "installation.key" in done.stdout
    assert "second_factor.key" in done.stdout
    assert "backup_made" in door.call("audit", "list", "--json").stdout


def test_what_can_not_be_copied_is_one_line(door: Door, tmp_path: Path) -> None:
    """No directory, no records, or records that are damaged; nothing is made."""
    assert door.call(*BAN).returncode == 0
    records = door.directory / "branch.db"
    nowhere = refusal(door, "backup", str(tmp_path / "none" / "copy.db"))
    assert "can't be written" in nowhere
    content = bytearray(records.read_bytes())
    content[-4096:] = bytes([255]) * 4096
    records.write_bytes(content)
    damaged = refusal(door, "backup", str(tmp_path / "copy.db"))
    assert "damaged" in damaged
    records.unlink()
    missing = refusal(door, "backup", str(tmp_path / "copy.db"))
    assert "branch.db" in missing
    assert not records.exists()
    assert not list(tmp_path.glob("copy.db*"))


def made(card: Card) -> Path:
    """Return the only backup that is kept."""
    (path,) = (card.outside / "kept").glob("*.age")
    return path


def keygen(path: Path) -> str:
    """Make a key of OpenSSH; return the public half."""
    program("ssh-keygen")
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)]
    subprocess.run(command, check=True)
    return path.with_name(f"{path.name}.pub").read_text().strip()


@pytest.fixture
def server(card: Card) -> Iterator[int]:
    """A real sshd for one key, on a free port of loopback; `outside/hosts` knows it."""
    sshd, there = program("sshd"), card.outside
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    port = free_port()
    host = keygen(there / "host")
    (there / "hosts").write_text(f"[127.0.0.1]:{port} {host}\n")
    (there / "allowed").write_text(keygen(there / "backup.key") + "\n")
    (there / "sshd.conf").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {there}/host\n"
        f"AuthorizedKeysFile {there}/allowed\nStrictModes no\nPidFile none\n"
        "PasswordAuthentication no\nPermitRootLogin prohibit-password\n"
        "Subsystem sftp internal-sftp\n"
    )
    process = subprocess.Popen(
        [sshd, "-D", "-e", "-f", there / "sshd.conf"], stderr=subprocess.PIPE
    )
    end_s = time.monotonic() + LIMIT_S
    while time.monotonic() < end_s:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            time.sleep(0.05)
    yield port
    process.terminate()
    process.communicate(timeout=LIMIT_S)


def sftp(card: Card, port: int, folder: str, *more: str) -> None:
    """Have backups go to a folder of the server."""
    where = f"sftp://{getpass.getuser()}@127.0.0.1:{port}{card.outside}/{folder}/"
    key = f'ssh_key_file = "{card.outside}/backup.key"'
    card.write_config(f'destination = "{where}"', key, *more)


def test_it_comes_whole_by_sftp(card: Card, server: int) -> None:
    """Under its name once it is whole; the age of the last good one is known from then on."""
    (card.outside / "there").mkdir()
    sftp(card, server, "there", f'known_hosts_file = "{card.outside}/hosts"')
    done = card.call("backup")

    assert "and sent it to sftp://" in done.stdout
    (come,) = (card.outside / "there").iterdir()
    assert (come.name, come.read_bytes()) == (made(card).name, made(card).read_bytes())
    assert "recipients" in card.call("audit", "list", "--json").stdout
    card.throw_away()
    card.restore(come)


def test_a_server_that_is_not_known_gets_none(card: Card, server: int) -> None:
    """Nor one without the folder; it is kept here, is not called good, and the line says why."""
    sftp(card, server, "none", f'known_hosts_file = "{card.outside}/hosts"')
    assert "No such file" in card.call("backup", ok=False).stderr
    made(card).unlink()
    (card.outside / "hosts").write_text("")
    said = card.call("backup", ok=False).stderr

    assert "was not sent" in said
    assert "erification failed" in said
    assert made(card).stat().st_size
    assert "recipients" not in card.call("audit", "list", "--json").stdout


@contextmanager
def web_server(
    status: int, context: ssl.SSLContext | None = None
) -> Iterator[tuple[int, list[tuple[str, str, bytes]]]]:
    """Run an HTTP server; yield its port and what was put there: path, authorization, content."""
    come: list[tuple[str, str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        """The municipality's server."""

        def do_PUT(self) -> None:
            """Take a file, and keep what came with it."""
            content = self.rfile.read(int(self.headers["Content-Length"]))
            come.append((self.path, self.headers.get("Authorization", ""), content))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    serving = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if context is not None:
        serving.socket = context.wrap_socket(serving.socket, server_side=True)
    thread = threading.Thread(target=serving.serve_forever)
    thread.start()
    try:
        yield serving.server_port, come
    finally:
        serving.shutdown()
        thread.join()
        serving.server_close()


def test_it_comes_whole_by_put(card: Card) -> None:
    """Over TLS, with a password that stands in a file and in no address."""
    authority = Authority(card.outside, "authority")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.issue("nas"))
    password = card.etc / "backup.password"
    password.write_text("synthetic\n")
    password.chmod(0o600)
    more = (f'ca_file = "{authority.path}"', 'password_file = "backup.password"')
    with web_server(201, context) as (port, come):
        card.write_config(f'destination = "https://oest@127.0.0.1:{port}/dav/"', *more)
        card.call("backup")

    (put,) = come
    told = "Basic " + base64.b64encode(b"oest:synthetic").decode()
    assert put == (f"/dav/{made(card).name}", told, made(card).read_bytes())


def test_what_refuses_a_put_is_told(card: Card) -> None:
    """A full disk there, a certificate of nobody's, or no answer."""
    with web_server(507) as (port, _):
        card.write_config(f'destination = "http://127.0.0.1:{port}/"')
        assert "HTTP status 507" in card.call("backup", ok=False).stderr
    made(card).unlink()
    assert "was not sent: no connection" in card.call("backup", ok=False).stderr
