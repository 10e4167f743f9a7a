"""A run of the sender whose export is fetched: news, no news, faults; by the extra fetching."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from doorctl.admin.keys import keys_in_use
from doorctl.config import Config, load
from doorctl.core.errors import ConfigError, DoorctlError, FetchAwayError, FetchError, InputError
from doorctl.store.sealer import key_id
from doorctl.sync.push import Refreshed
from doorctl.wiring import outbox, sync, sync_keys
from doorctl.wiring.exports import fetched_file
from tests.fakes.clock import FakeClock
from tests.fakes.waiting import LIMIT_S, until
from tests.sources.http_server import Request, Script, answering, serving

HOUR_S = 3600.0


@dataclass
class Library:
    """A library system that gives its export over HTTP, with an ETag."""

    body: bytes = b""
    status: int = 200
    kind: str = "application/x-ndjson"
    asked: list[Request] = field(default_factory=list)

    def answer(self, request: Request) -> tuple[int, Mapping[str, str], bytes]:
        """Answer as a web server does."""
        self.asked.append(request)
        etag = f'"{sha256(self.body).hexdigest()}"'
        if self.status != 200:
            return self.status, {}, b""
        if request.headers.get("If-None-Match") == etag:
            return 304, {"ETag": etag}, b""
        return 200, {"ETag": etag, "Content-Type": self.kind}, self.body

    def export(self, *patrons: dict[str, Any]) -> None:
        """Have these in it from now on."""
        self.body = "".join(json.dumps(one) + "\n" for one in patrons).encode()


@dataclass
class Server:
    """The library's server: its library system, one branch, and a webhook for alarms."""

    directory: Path
    library: Library
    hook: Script
    branch: Script
    config: Config
    clock: FakeClock = field(default_factory=FakeClock)
    found: list[Refreshed] = field(default_factory=list)

    def push(self, **wishes: Any) -> Refreshed:
        """Push as systemd's timer does."""
        took = self.found.append
        sync.push(self.config, outbox.Wishes(**wishes), self.clock, on_refreshed=took)
        return self.found[-1]

    @property
    def alarms(self) -> list[str]:
        """The kind of each notice that the webhook took."""
        return [json.loads(body)["kind"] for _, _, body, _ in self.hook.requests]

    @property
    def left(self) -> list[str]:
        """What lies in the sender's directory of an export."""
        return [path.name for path in (self.directory / "state").glob("fetched/*")]


def text(port: int, url: str) -> str:
    """Return a sender's configuration."""
    return f"""
[branch]
name = "Biblioteket"
id = "sender"
[secrets]
installation_key_file = "installation.key"
[seal]
memory_kib = 8
iterations = 1
[alarms.webhook]
url = "http://127.0.0.1:{port}/"
secret_file = "secret"
[sync]
signing_key_file = "signing.key"
state_directory = "state"
wrong_rows_share = 0
[source.fetch.http]
url = "{url}"
token_file = "secret"
[[sync.targets]]
branch = "oest"
url = "http://127.0.0.1:{{branch}}"
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A sender whose one branch holds nothing and takes what comes."""
    library, hook, branch = Library(), Script(), Script()
    (tmp_path / "secret").write_text("a-shared-Secret~1")
    (tmp_path / "secret").chmod(0o600)
    with answering(library.answer) as port, serving(hook) as hooked, serving(branch) as at:
        written = text(hooked, f"http://127.0.0.1:{port}/out/patrons-full.ndjson")
        (tmp_path / "sync.toml").write_text(written.format(branch=at))
        config = load(tmp_path / "sync.toml")
        sync_keys.initialise(config)
        key = key_id(keys_in_use(config)[0])
        branch.say(200, {"epoch": 0, "digest": "", "nonce": "n", "key_id": key, "minimum_age": 0})
        yield Server(tmp_path, library, hook, branch, config)


def patron(number: int, **changed: object) -> dict[str, Any]:
    """An invented row of the feed."""
    card = {"identifier": str(3_000_000_000 + number), "identifierType": "CARD", "status": "ACTIVE"}
    row = {"patronId": 7_000_000 + number, "identifiers": [card], "pincode": "4711"}
    return {**row, "resident": True, "birthday": "1970-01-01", **changed}


def test_a_run_without_news_costs_one_question(server: Server) -> None:
    """The library system is asked once whether there is any; branches are brought up to date."""
    server.library.export(patron(1), patron(2))
    first = server.push()
    asked, reached = len(server.library.asked), len(server.branch.requests)

    second = server.push()

    assert (first.patrons, first.changed, first.is_read) == (2, 2, True)
    assert (second.patrons, second.changed, second.is_read) == (2, 0, False)
    assert (asked, len(server.library.asked)) == (1, 2)
    assert "If-None-Match" in server.library.asked[1].headers
    assert len(server.branch.requests) > reached
    assert server.left == []


def test_what_has_changed_comes(server: Server) -> None:
    """Another export is another one, and one who is missing from it is taken out."""
    server.library.export(patron(1), patron(2))
    server.push()
    server.library.export(patron(1, pincode="0815"))

    again = server.push()

    assert (again.changed, again.removed, again.is_read) == (1, 1, True)


@pytest.mark.parametrize("change", ["full", "rehearsal", "day", "configuration"])
def test_what_counts_anew_is_read_anew(server: Server, change: str) -> None:
    """No etag is asked with at night, in a rehearsal, on another day or by other rules.

    What a row becomes hangs on the day and on the configuration, and so may be another thing.
    """
    server.library.export(patron(1))
    server.push()
    if change == "day":
        server.clock.advance(24 * HOUR_S)
    elif change == "configuration":
        path = server.directory / "sync.toml"
        path.write_text(path.read_text() + "[policy]\nminimum_age = 15\n")
        server.config = load(path)

    again = server.push(full=change == "full", dry_run=change == "rehearsal")

    assert again.is_read
    assert "If-None-Match" not in server.library.asked[1].headers


def test_the_same_bytes_are_no_news(server: Server) -> None:
    """A server that knows no etag costs the bytes, and no reading of them."""
    server.library.export(patron(1))
    server.push()
    server.library.body, before = server.library.body, server.library.answer

    def forgetful(request: Request) -> tuple[int, Mapping[str, str], bytes]:
        status, headers, body = before(Request(request.method, request.path, {}, b""))
        return status, {**headers, "ETag": ""}, body

    with answering(forgetful) as port:
        values = {**server.config.origin.values}
        assert "source.fetch.http.url" in values
        path = server.directory / "sync.toml"
        written = path.read_text().replace(
            values["source.fetch.http.url"], f"http://127.0.0.1:{port}"
        )
        path.write_text(written)
        server.config = load(path)

        assert [server.push().is_read, server.push().is_read] == [True, False]


FAULTS: dict[str, Callable[[Library], object]] = {
    "a page to sign in": lambda library: setattr(library, "kind", "text/html"),
    "a server that is down": lambda library: setattr(library, "status", 503),
    "a wrong token": lambda library: setattr(library, "status", 401),
    "another host": lambda library: setattr(library, "status", 302),
    "half a row": lambda library: setattr(library, "body", library.body[:-20]),
    "nobody": lambda library: setattr(library, "body", b"\n"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fetch_that_fails_is_told_once_and_changes_nothing(server: Server, fault: str) -> None:
    """One alarm, nothing sent to anybody, and all is as before once it is over."""
    server.library.export(patron(1), patron(2))
    server.push()
    good, reached = server.library.body, len(server.branch.requests)
    FAULTS[fault](server.library)
    if fault != "half a row":
        server.library.body += b" "

    for _ in range(2):
        with pytest.raises(DoorctlError) as caught:
            server.push()
        assert "4711" not in str(caught.value)

    assert (server.alarms, server.left) == (["sync_failed"], [])
    assert len(server.branch.requests) == reached
    server.library.body, server.library.status = good, 200
    server.library.kind = "application/x-ndjson"
    server.clock.advance(HOUR_S)
    assert server.push().patrons == 2
    assert server.alarms == ["sync_failed", "sync_failed_cleared"]


def test_only_what_may_pass_by_itself_is_tried_again(server: Server) -> None:
    """A server that is down ends a run so that systemd tries again; a wrong token does not."""
    server.library.status = 503
    with pytest.raises(FetchAwayError):
        server.push()
    server.library.status = 401
    with pytest.raises(FetchError) as caught:
        server.push()
    assert not isinstance(caught.value, ConnectionError)


def test_a_quiet_library_system_is_told(server: Server) -> None:
    """A file that nobody has written anew for more than a day is as old as one that fell here."""
    server.library.export(patron(1))
    server.push()
    server.clock.advance(27 * HOUR_S)

    server.push()

    assert "export_old" in server.alarms


PROGRAM = """
import sys
from pathlib import Path
from doorctl.config import load
from doorctl.wiring.exports import fetched_file
from tests.fakes.clock import FakeClock
with fetched_file(load(Path(sys.argv[1])), FakeClock()):
    print("there", flush=True)
    sys.stdin.read()
"""


def test_what_a_killed_run_leaves_is_gone_after_the_next(server: Server) -> None:
    """Killed amid its work it can delete nothing; the next run does that before all else."""
    server.library.export(patron(1))
    words = [sys.executable, "-c", PROGRAM, str(server.directory / "sync.toml")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(words, cwd=Path(__file__).parents[2], **pipes) as run:  # type: ignore[call-overload]
        assert run.stdout.readline() == b"there\n"
        assert server.left == ["patrons-full.ndjson"]
        os.kill(run.pid, signal.SIGKILL)
        run.wait(LIMIT_S)
    assert server.left == ["patrons-full.ndjson"]
    server.library.status = 503

    with pytest.raises(DoorctlError):
        server.push()

    assert until(lambda: not server.left)


def test_a_look_without_a_file_needs_something_to_fetch(server: Server) -> None:
    """Where files fall into a folder, the look wants one of them by name."""
    path = server.directory / "sync.toml"
    (server.directory / "exports").mkdir()
    head, _, rest = path.read_text().partition("[source.fetch.http]")
    path.write_text(head + 'feed = "exports"\n' + rest[rest.index("[[") :])

    with (
        pytest.raises(InputError, match="give the file to look at"),
        fetched_file(load(path), server.clock),
    ):
        pass


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("", None),
        ('url = ""', "sync.feed: missing, and so are source.fetch.http.url and source.fetch.sftp"),
        ('url = "https://a:b@koha.example/"', "carries a user or a password; take it out"),
        ('url = "https://doorctl@koha.example/"', "carries a user or a password"),
        ('url = "https://koha.example/?apikey=l8xx"', 'in its query as "apikey"; take it out'),
        ('url = "https://koha.example/?access_token=l8xx"', 'in its query as "access_token"'),
        ('url = "https://koha.example/?a=1&Sig=l8xx"', 'in its query as "Sig"'),
        ('url = "https://koha.example/?query=patronGroup"', None),
        ('url = "http://koha.example/"', "asks another machine for patrons in the clear"),
        ('url = "ftp://koha.example/l8xx"', "is no address of a machine"),
        ('url = "https://koha.example:0/"', "is no address of a machine"),
        ('url = "https://[koha/l8xx"', "is no address of a machine"),
        ('pages = "link"', 'only pages of JSON are put together; give source.kind = "json"'),
        ('user = "x"', "source.fetch.http.password_file: missing beside source.fetch.http.user"),
        (
            'tenant = "diku"',
            "source.fetch.http.tenant: does nothing beside source.fetch.http.token",
        ),
        ('next_key = "a"', "source.fetch.http.next_key: does nothing beside"),
    ],
)
def test_settings_that_make_no_sense_are_one_line(
    server: Server, lines: str, told: str | None
) -> None:
    """By the name of the key, and without a secret that stands in it."""
    path = server.directory / "sync.toml"
    head, _, rest = path.read_text().partition("[source.fetch.http]")
    url = "" if lines.startswith("url") else rest.partition("\ntoken")[0]
    path.write_text(f"{head}[source.fetch.http]\n{url}\n{lines}\n{rest[rest.index('[[') :]}")

    if told is None:
        assert load(path).sync is not None
        return
    with pytest.raises(ConfigError) as caught:
        load(path)

    assert told in str(caught.value)
    assert "l8xx" not in str(caught.value)
    assert str(caught.value).count("\n") == 0
