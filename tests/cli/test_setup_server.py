"""`doorctl setup` on the library's server, as root answers it at a real terminal."""

from __future__ import annotations

import os
import re
import sys
import tomllib
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from doorctl.extras.mapping.systems import SYSTEMS
from tests.cli.machine import Terminal
from tests.e2e.door import COMMANDS
from tests.extras.registers import EVERYBODY, GUEST, HERE, REGISTERS, TYPES

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="setup writes what is root's")

RESIDENTS = {
    "folio": HERE,
    "sierra": "3",
    "evergreen": "11",
    "rero-ils": f"{TYPES}7",
    **dict.fromkeys(("koha-report", "koha-api", "alma-xml", "alma-json", "sirsidynix"), "BORGER"),
}
"""What each library calls its residents."""

COLUMNS = (
    (r"called Number \(", "Nummer"),
    (r"called Born \(", "Født"),
    (r"called Lives here \(", "Bor her"),
    (r"called Valid until \(", "Gyldig til"),
    (r"called Blocked \(", "Spærret"),
    (r"called Card \(", "Kort"),
)
"""What a spreadsheet with Danish columns is asked."""

ANOTHER = (
    (r"list of patrons is called \[laanere\]", ""),
    (r"of a patron, which opens no door: what", "nr"),
    (r"number on the card, as a reader reads it: what", "kort"),
    (r"the CPR number: what", "-"),
    (r"the PIN: what", "-"),
    (r"the birthday: what", "fødsel"),
    (
        r"Nothing in the file is called that\. In the file: nr, kort, født, .*\s+the birthday",
        "født",
    ),
    (r"whether the patron lives here: what", "kommune"),
    (r"the last day of the card: what", "-"),
    (r"what keeps a patron out: what", "tilstand"),
    (r"whether the card counts at all: what", "-"),
    (r"How is a day written in født\? .* \[31\.12\.1970\]", ""),
    (r"24  her\s+6  andetsteds\s+Which of these live here", "her"),
    (r"27  i orden\s+3  spærret\s+Which of these say that nothing is wrong", "i orden"),
)
"""What is asked of a system that has no ready map."""


class Server:
    """A folder that stands for the library's server, with an export in it."""

    def __init__(self, directory: Path, system: str) -> None:
        self.directory, self.system = directory, system
        self.config = directory / "sync.toml"
        self.export = directory / "exports" / REGISTERS[system][0]
        self.export.parent.mkdir()
        self.export.write_text(REGISTERS[system][1], "utf-8")

    @property
    def words(self) -> list[str]:
        """The command, with all it makes in this folder."""
        places = {
            "secrets.installation_key_file": self.directory / "installation.key",
            "sync.signing_key_file": self.directory / "signing.key",
            "sync.state_directory": self.directory / "state",
        }
        given = [f"--set={name}={place}" for name, place in places.items()]
        if self.system == "rero-ils":
            # Its patrons have no birthdays.
            given.append("--set=policy.minimum_age=0")
        return ["setup", "--server", "--config", str(self.config), *given]

    def begin(self, *more: str) -> Terminal:
        """Begin at a terminal."""
        words = [sys.executable, "-m", "doorctl", *self.words, *more]
        return Terminal(words, {**os.environ, "LANG": "C.UTF-8", "TERM": "dumb"})

    def answer(self, terminal: Terminal) -> None:
        """Answer all but whether the look is right."""
        terminal.type("Sprog / Language", "en")
        terminal.type("The library's name", "Langå Bibliotek")
        terminal.type("Which system does the library have", self.system)
        terminal.type("File of the export, or the folder", str(self.export.parent))
        questions = {"spreadsheet": COLUMNS, "another": ANOTHER}.get(self.system, ())
        for pattern, answer in questions:
            terminal.type(pattern, answer)
        if self.system in RESIDENTS:
            terminal.type("Which of these live here", RESIDENTS[self.system])
        if self.system == "spreadsheet":
            terminal.type(r"Which of these live here\? .* \[Ja\]")
            terminal.type("3  x\\s+Which of these say that nothing is wrong")

    def written(self) -> dict[str, Any]:
        """Return the tables of the file."""
        return tomllib.loads(self.config.read_text("utf-8"))


@pytest.mark.parametrize("system", SYSTEMS)
def test_each_system_is_set_up_from_its_export(system: str, tmp_path: Path) -> None:
    """A new server: a file that check-config accepts, keys, and a look with all who are there.

    Again, with Enter all through, it changes nothing.
    """
    server = Server(tmp_path, system)
    terminal = server.begin()
    server.answer(terminal)
    terminal.until("line 1: 1 card|line 2: 1 card")
    terminal.until("24  resident")
    terminal.type(r"Is that right\? \[yes\]")
    terminal.until("made .*installation.key")
    assert terminal.end() == 0, terminal.shown

    assert COMMANDS.run(["check-config", "--config", str(server.config)]).returncode == 0
    assert re.search(r"^ +30  patrons\r?$", terminal.shown, re.MULTILINE)
    assert re.search(r"^ +24  would get in\r?$", terminal.shown, re.MULTILINE)
    assert ("source" in server.written()) == (system != "fbs")
    assert [one.card for one in EVERYBODY if one.card in terminal.shown] == []
    assert "Navnesen" not in terminal.shown

    before = server.config.read_bytes()
    again = server.begin("--set=setup.language=da")
    again.type(rf"Hvilket system har biblioteket\? .* \[{system}\]")
    again.type(r"mappen som udtræk lægges i \[.*exports\]")
    if system != "fbs":
        again.type(r"bor i kommunen\? .* \[.+\]")
    if system == "spreadsheet":
        again.type("intet er galt")
    again.type(r"Er det rigtigt\? \[ja\]")
    assert again.end() == 0, again.shown
    assert "intet er ændret" in again.shown
    assert server.config.read_bytes() == before


def test_an_answer_that_keeps_everybody_out_is_said(tmp_path: Path) -> None:
    """At the question for who lives here; of blocks at the look, which is wrong then by Enter."""
    server = Server(tmp_path, "koha-report")
    sheet = server.export.read_text("utf-8")
    server.export.write_text(sheet.replace(",0,\n", ",1,\n"), "utf-8")
    terminal = server.begin("--set=setup.language=en", "--set=branch.name=L")
    terminal.type("Which system", "1")
    terminal.type("File of the export", "nowhere.csv")
    terminal.type(r"is not there.*\s+File of the export", str(server.export))
    terminal.type(r"24  BORGER\s+6  GAEST\s+Which of these live here", "VOKSEN")
    terminal.type(r"In no row: VOKSEN\s+0 of 30 rows\.\s+Nobody would live here\.\s+Is that meant")
    terminal.type("Which of these live here", "BORGER, GAEST")
    terminal.type(r"30 of 30 rows\.\s+Everybody would live here\.\s+Is that meant", "no")
    terminal.type("Which of these live here", "BORGER")
    terminal.until("source.map.blocks: everybody would be blocked")
    terminal.type(r"Is that right\? \[no\]")
    terminal.type(r"Which system .* \[koha-report\]")
    terminal.type(r"File of the export.*\[.*01-full.csv\]")
    terminal.type(
        r"of a patron, which opens no door: what is it called there\?.*\[borrowernumber\]"
    )
    terminal.type(r"birthday: .*\[dateofbirth\]")
    terminal.type(r"lives here: .*\[categorycode\]")
    terminal.type(r"last day of the card: .*\[dateexpiry\]")
    terminal.type(r"keeps a patron out: .*\[debarred\]")
    terminal.type(r"keeps a patron out: .*\[gonenoaddress\]", "-")
    terminal.type(r"keeps a patron out: .*\[lost\]")
    terminal.type(r"number on the card.*\[cardnumber\]")
    terminal.type(r"Which of these live here.*\[BORGER\]")
    terminal.type(r"Is that right\? \[yes\]")
    assert terminal.end() == 0, terminal.shown
    blocks = server.written()["source"]["map"]["blocks"]
    assert [each["from"] for each in blocks] == ["debarred", "lost"]


def test_what_letters_are_written_in_is_asked_where_the_map_cannot_read_them(
    tmp_path: Path,
) -> None:
    """Until it can; an encoding that there is not is none."""
    server = Server(tmp_path, "koha-report")
    text = server.export.read_text("utf-8").replace("BORGER", "BORGER I BYEN Å")
    server.export.write_bytes(text.encode("cp1252"))
    terminal = server.begin("--set=setup.language=en", "--set=branch.name=Langå")
    terminal.type("Which system does the library have", server.system)
    terminal.type("File of the export, or the folder", str(server.export.parent))
    asked = r"no CSV in utf-8.*\s+What its letters are written in \[cp1252\]"
    terminal.type(asked, "danish-7")
    terminal.type(r"That is none of them\.\s+.*no CSV in utf-8.*\s+What its letters", "")
    terminal.type("24  BORGER I BYEN Å\\s+6  GAEST\\s+Which of these live here", "BORGER I BYEN Å")
    terminal.type(r"Is that right\? \[yes\]")

    assert terminal.end() == 0, terminal.shown
    assert server.written()["source"]["encoding"] == "cp1252"


def test_stopped_it_has_written_nothing(tmp_path: Path) -> None:
    """By Ctrl-C at the last question."""
    server = Server(tmp_path, "koha-report")
    terminal = server.begin()
    server.answer(terminal)
    terminal.until("Is that right")
    terminal.interrupt()
    terminal.until("nothing was written")
    assert terminal.end() == 1
    assert not server.config.exists()


def test_words_of_persons_are_not_shown(tmp_path: Path) -> None:
    """Of a field about a person, whoever shares them, and of one that is many different ones."""
    server = Server(tmp_path, "koha-report")
    header, *lines = server.export.read_text("utf-8").splitlines()
    rows = [f"{line},Navnesen,{'8870' if n % 2 else '8900'}" for n, line in enumerate(lines)]
    server.export.write_text("\n".join([f"{header},surname,zipcode", *rows]), "utf-8")
    text = server.export.read_text("utf-8").replace("categorycode", "x")
    server.export.write_text(text, "utf-8")
    for column in ("zipcode", "surname", "dateofbirth"):
        terminal = server.begin("--set=setup.language=en", "--set=branch.name=L")
        terminal.type("Which system", "koha-report")
        terminal.type("File of the export", str(server.export))
        terminal.type(r"Nothing is called categorycode \(whether the patron lives here\)", column)
        terminal.until(r"30 rows have \d+ other words, which are not shown")
        terminal.until("Which of these live here")
        terminal.kill()
        said = re.findall(r"8870|8900|Navnesen|19[0-9]{2}-", terminal.shown)
        assert said == [], terminal.shown


ANSWERS = """
[setup]
system = "{system}"
[branch]
name = "Langå Bibliotek"
[sync]
feed = "exports"
"""


def scripted(server: Server, more: str = "") -> Any:
    """Run with a file of answers; return what came of it."""
    answers = server.directory / "answers.toml"
    answers.write_text(ANSWERS.format(system=server.system) + more, "utf-8")
    return COMMANDS.run([*server.words, "--answers", str(answers)])


def test_a_file_of_answers_asks_nothing(tmp_path: Path) -> None:
    """It shows the look, and what it leaves alone stays as the ready map has it."""
    server = Server(tmp_path, "koha-report")
    resident = '[source.map]\nresident = {from = "categorycode", in = ["BORGER"]}\n'

    done = scripted(server, resident)

    assert done.returncode == 0, done.stderr
    assert "24  resident" in done.stdout
    assert server.written()["source"]["map"]["resident"]["in"] == ["BORGER"]
    assert server.written()["source"]["map"]["identifiers"]["card"] == "cardnumber"
    assert COMMANDS.run(["check-config", "--config", str(server.config)]).returncode == 0
    before = server.config.read_bytes()
    assert scripted(server, resident).returncode == 0
    assert server.config.read_bytes() == before


@pytest.mark.parametrize(
    ("system", "more", "told"),
    [
        ("koha", "", "setup.system: found another text; give one of koha-report, "),
        ("koha-report", "", "source.map.resident: missing; say who lives here"),
        (
            "koha-report",
            '[source.map]\nresident = {from = "categorycode", in = ["X"]}\n',
            "source.map.resident: nobody would live here",
        ),
        (
            "koha-report",
            '[source.map]\nresident = {from = "categorycode", with = ["X"]}\n',
            "source.map.resident: found",
        ),
    ],
)
def test_wrong_answers_are_told_and_nothing_is_written(
    system: str, more: str, told: str, tmp_path: Path
) -> None:
    """With the answers' file and the key, and exit code 2."""
    server = Server(tmp_path, "koha-report")
    server.system = system

    done = scripted(server, more)

    assert done.returncode == 2, done.stderr
    assert f"answers.toml: {told}" in done.stderr
    assert not server.config.exists()


def test_an_export_that_is_fetched_is_fetched_for_the_look(tmp_path: Path) -> None:
    """As the file says; what came is deleted, and sync.feed stays empty."""
    server = Server(tmp_path, "koha-api")
    (tmp_path / "secret").write_text("a-token")
    (tmp_path / "secret").chmod(0o600)
    web = partial(SimpleHTTPRequestHandler, directory=str(server.export.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), web) as library:
        Thread(target=library.serve_forever, daemon=True).start()
        port = library.server_address[1]
        server.config.write_text(
            f'[branch]\nname = "L"\nid = "sender"\n[secrets]\ninstallation_key_file = "i.key"\n'
            f'[sync]\nsigning_key_file = "s.key"\nstate_directory = "state"\n'
            f'[source.fetch.http]\nurl = "http://127.0.0.1:{port}/01-full.json"\n'
            f'token_file = "secret"\n'
        )
        terminal = Terminal(
            [sys.executable, "-m", "doorctl", "setup", "--config", str(server.config)],
            {**os.environ, "LANG": "C.UTF-8", "TERM": "dumb"},
        )
        terminal.type("Sprog / Language", "en")
        terminal.type("Which system", "koha-api")
        terminal.until("The export is fetched")
        terminal.type("Which of these live here", "BORGER")
        terminal.until("24  resident")
        terminal.type("Is that right", "yes")
        assert terminal.end() == 0, terminal.shown
        library.shutdown()
    assert "feed" not in server.written()["sync"]
    assert server.written()["source"]["map"]["resident"]["in"] == ["BORGER"]
    assert server.written()["source"]["fetch"]["http"]["token_file"] == "secret"
    assert [*tmp_path.glob("state/fetched/*")] == []
    assert COMMANDS.run(["check-config", "--config", str(server.config)]).returncode == 0


def test_all_else_in_the_file_stays(tmp_path: Path) -> None:
    """Comments, branches, and what another extra has under [source]; an old map goes."""
    server = Server(tmp_path, "koha-report")
    kept = '# Ours.\n[[sync.targets]] # East\nbranch = "oest"\nurl = "https://oest.example"\n'
    kept += 'ca_file = "ca.pem"\ncertificate_file = "c.pem"\nkey_file = "k.pem"\n'
    head = (
        '[branch]\nname = "L"\nid = "sender"\n[secrets]\ninstallation_key_file = "i.key"\n'
        f'[sync]\nfeed = "exports"\nsigning_key_file = "{tmp_path}/signing.key"\n'
        f'state_directory = "{tmp_path}/state"\n\n'
    )
    old = '[source]\nkind = "csv"\npins = "learnt"\n\n[source.map]\npatron_id = "id"\nblocks = [\n'
    old += '  "a",\n]\n\n[source.map.identifiers]\ncard = "b"\n\n'
    server.config.write_text(f"{head}{old}{kept}", "utf-8")

    resident = '[source.map]\nresident = {from = "categorycode", in = ["BORGER"]}\n'
    done = scripted(server, resident)

    assert done.returncode == 0, done.stderr
    text = server.config.read_text("utf-8")
    assert text.startswith(head.replace('"L"', '"Langå Bibliotek"')[:30])
    assert text.endswith(f"\n\n{kept}")
    assert text.count("[source]") == 1
    assert '"id"' not in text
    assert GUEST not in text
