"""From a library system's server to a card that opens, by the extra fetching and real commands."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGKILL
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.e2e.sender import CONFIG, Sender, patron
from tests.e2e.test_rotation import House
from tests.sources.http_server import Request, answering
from tests.sources.ssh_server import ssh_server
from tests.web.certificates import Authority

KOHA = """
[source]
kind = "json"
[source.map]
patron_id = "patron_id"
pincode = "pin"
birthday = "date_of_birth"
resident = {{from = "category_id", in = ["RESIDENT"]}}
valid_until = "expiry_date"
[source.map.identifiers]
card = "cardnumber"
[source.fetch.http]
url = "https://127.0.0.1:{port}/api/v1/patrons"
token_file = "token"
pages = "number"
page_rows = 2
ca_file = "{authority}"
"""

SFTP = """
[source.fetch.sftp]
host = "127.0.0.1"
port = {port}
user = "{user}"
path = "{drop}/"
key_file = "{directory}/client.key"
known_hosts_file = "{directory}/known_hosts"
"""


@dataclass
class Koha:
    """Answers as Koha's REST API: pages by number, the total in a header, for one token."""

    rows: list[dict[str, Any]] = field(default_factory=list)

    def answer(self, request: Request) -> tuple[int, Mapping[str, str], bytes]:
        """Answer one question."""
        if request.headers.get("Authorization") != "Bearer a-shared-Secret~1":
            return 401, {}, b'{"error": "x"}'
        query = parse_qs(urlsplit(request.path).query)
        page, size = int(query["_page"][0]), int(query["_per_page"][0])
        header = {"Content-Type": "application/json", "X-Total-Count": str(len(self.rows))}
        return 200, header, json.dumps(self.rows[(page - 1) * size : page * size]).encode()


def borrower(number: int, **changed: object) -> dict[str, Any]:
    """An invented patron as Koha writes one."""
    row = {"patron_id": number, "pin": "4711", "date_of_birth": "1970-01-01"}
    card = {"cardnumber": str(3_000_000_000 + number), "category_id": "RESIDENT"}
    return {**row, **card, "expiry_date": "2099-12-31", **changed}


def sender(directory: Path, lines: str) -> Sender:
    """Return a sender that fetches its export."""
    text = CONFIG.replace('feed = "exports"\n', "") + lines.replace("{", "{{").replace("}", "}}")
    made = Sender(directory, config=text)
    made.target({"branch": "nobody", "url": "http://127.0.0.1:9"})
    made.call("sync", "init")
    return made


@contextmanager
def house(library: Sender, directory: Path) -> Iterator[House]:
    """Begin a branch with a door and a web process, which the library pushes to."""
    directory.mkdir()
    made = House(directory, "oest", library.directory)
    library.target({"branch": "oest", "url": f"http://127.0.0.1:{made.port}"})
    with made.stage:
        try:
            made.open_up()
            yield made
        finally:
            made.end(SIGKILL)


@pytest.fixture
def server(tmp_path: Path) -> Path:
    """The sender's directory, with a token in it."""
    directory = tmp_path / "server"
    directory.mkdir()
    (directory / "token").write_text("a-shared-Secret~1\n")
    (directory / "token").chmod(0o600)
    return directory


def test_from_koha_to_a_card_that_opens(tmp_path: Path, server: Path) -> None:
    """Over HTTPS in pages; who has expired there stays out; a fault there keeps all as it was."""
    authority = Authority(tmp_path, "authority")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.issue("koha"))
    koha = Koha([borrower(number) for number in range(1, 6)])
    koha.rows.append(borrower(6, expiry_date="2020-01-01"))
    with answering(koha.answer, context) as port:
        library = sender(server, KOHA.format(port=port, authority=authority.path))
        with house(library, tmp_path / "oest") as oest:
            looked = library.call("sync", "look")
            first = library.push()
            decided = [oest.come("3000000001"), oest.decided("3000000006", "4711")]
            (server / "token").write_text("another-Secret\n")
            refused = library.call("sync", "push")
            after = oest.come("3000000002")

    assert looked.returncode == 0
    assert "6  patrons" in looked.stdout
    assert (first["patrons"], first["oest"]["cards"]) == (6, 6)
    assert decided == ["ok", "expired"]
    assert refused.returncode == 1
    assert refused.stderr == (
        "doorctl: the export was not fetched: it does not accept the token or password; see "
        "source.fetch.http (HTTP status 401)\n"
    )
    assert after == "ok"
    assert not (server / "state/fetched").exists()


def test_from_a_drop_to_a_card_that_opens(tmp_path: Path, server: Path) -> None:
    """By a real sshd; a run without news reads nothing, and brings a branch up to date."""
    there = tmp_path / "there"
    (there / "drop").mkdir(parents=True)
    lines = "".join(json.dumps(patron(number)) + "\n" for number in (1, 2))
    (there / "drop/2026-03-02-full.ndjson").write_text(lines)
    with ssh_server(there) as ssh:
        at = {"port": ssh.port, "user": ssh.user, "directory": there, "drop": there / "drop"}
        library = sender(server, SFTP.format(**at))
        with house(library, tmp_path / "oest") as oest:
            library.push()
            decided = oest.come("3000000001")
            again = library.call("sync", "push")

    assert decided == "ok"
    assert "2 patrons in the register, 0 sealed again" in again.stdout
    assert "the export has no news" in again.stdout
