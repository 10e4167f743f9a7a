"""Exports of library systems become rows of the feed by the ready maps of ``config/sources``."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from doorctl.cli.app import app
from doorctl.config import load
from doorctl.core.errors import FeedError
from doorctl.extras.extra import feed_rows
from doorctl.sync.feed import FeedPatron, Rows, read_rows

CONFIG = Path(__file__).parents[2] / "config"
SOURCES = CONFIG / "sources"

CARD = "3000001234"

ALMA = {
    "primary_id": "b1",
    "birth_date": "1970-01-31Z",
    "user_group": {"value": "RESIDENT", "desc": "Lives here"},
    "status": {"value": "ACTIVE"},
    "expiry_date": "2030-01-31Z",
    "user_identifier": [
        {"value": "x-77", "id_type": {"value": "INST_ID"}},
        {"value": CARD, "id_type": {"value": "BARCODE", "desc": "Barcode"}},
    ],
    "user_block": [
        {"block_type": {"value": "LOST"}, "block_status": "ACTIVE"},
        {"block_type": {"value": "OLD"}, "block_status": "INACTIVE"},
    ],
}

GROUP = "00000000-0000-4000-8000-000000000001"

KOHA = {
    "patron_id": 51,
    "cardnumber": CARD,
    "date_of_birth": "1970-01-31",
    "category_id": "RESIDENT",
    "expiry_date": "2030-01-31",
    "restricted": True,
    "incorrect_address": None,
    "patron_card_lost": False,
}

EXPORTS: dict[str, str] = {
    "koha-report": (
        "borrowernumber,cardnumber,dateofbirth,categorycode,dateexpiry,debarred,gonenoaddress,lost\n"
        f"51,{CARD},1970-01-31,RESIDENT,2030-01-31,9999-12-31,0,\n"
    ),
    "koha-api": json.dumps([KOHA]),
    "folio": json.dumps(
        {
            "users": [
                {
                    "id": "d6ea",
                    "barcode": CARD,
                    "active": False,
                    "patronGroup": GROUP,
                    "personal": {"dateOfBirth": "1970-01-31T00:00:00.000+00:00"},
                    "expirationDate": "2030-01-31T23:59:59.000+00:00",
                }
            ],
            "totalRecords": 1,
        }
    ),
    "alma-json": json.dumps({"user": [ALMA], "total_record_count": 1}),
    "alma-xml": f"""<?xml version="1.0"?><users><user><primary_id>b1</primary_id>
<birth_date>1970-01-31Z</birth_date><user_group desc="Lives here">RESIDENT</user_group>
<status>ACTIVE</status><expiry_date>2030-01-31Z</expiry_date>
<user_identifiers><user_identifier><id_type>INST_ID</id_type><value>x-77</value></user_identifier>
<user_identifier><id_type desc="Barcode">BARCODE</id_type><value>{CARD}</value></user_identifier>
</user_identifiers><user_blocks><user_block><block_type desc="Lost">LOST</block_type>
<block_status>ACTIVE</block_status></user_block></user_blocks></user></users>""",
    "sierra": json.dumps(
        {
            "total": 1,
            "entries": [
                {
                    "id": 3159,
                    "barcodes": [CARD, "3000005678"],
                    "birthDate": "1970-01-31",
                    "expirationDate": "2030-01-31",
                    "patronType": 2,
                    "blockInfo": {"code": "c"},
                }
            ],
        }
    ),
    "evergreen": (
        "id,barcode,dob,profile,expire_date,active,barred\n"
        f"51,{CARD},1970-01-31,15,2030-01-31 00:00:00+01,1,1\n"
    ),
    "rero-ils": json.dumps(
        [
            {
                "pid": "9",
                "patron": {
                    "type": {"$ref": "https://bib.rero.ch/api/patron_types/1"},
                    "expiration_date": "2030-01-31",
                    "barcode": [CARD],
                    "blocked": True,
                },
            }
        ]
    ),
    "sirsidynix": (
        "USER_KEY|USER_ID|BIRTH_DATE|PROFILE|EXPIRES|STATUS\n"
        f"51|{CARD}|19700131|RESIDENT|20300131|BARRED\n"
    ),
    "spreadsheet": (
        "Number;Card;PIN;Born;Lives here;Valid until;Blocked\n"
        f"51;'{CARD};0711;31-01-1970;Ja;31-01-2030;x\n"
    ),
}
"""Ready map -> an export of one patron born in 1970, who lives here and is kept out."""

KEPT_OUT_BY_STATUS = {"folio", "sirsidynix"}
"""Maps that know no block, but a patron who is not active."""


def read(directory: Path, name: str, written: str | bytes, *overrides: str) -> Rows:
    """Read an export by a ready map, as the sender does."""
    config = sender(directory, name)
    file = directory / "export"
    file.write_bytes(written if isinstance(written, bytes) else written.encode())
    loaded = load(config, overrides, environment={})
    return read_rows(file, pin_length=4, rows_of=feed_rows(loaded))


def sender(directory: Path, name: str) -> Path:
    """Write a sender's file with a ready map at its end."""
    example, _, _ = (CONFIG / "sync.toml").read_text(encoding="utf-8").partition("[[sync.targets]]")
    path = directory / "sync.toml"
    ready = (SOURCES / f"{name}.toml").read_text(encoding="utf-8")
    path.write_text(f"{example}\n{ready}", encoding="utf-8")
    return path


def look(directory: Path, name: str, *options: str) -> Result:
    """Type the command over the export in a directory."""
    config = str(sender(directory, name))
    return CliRunner().invoke(
        app, ["sync", "look", str(directory / "export"), "--config", config, *options]
    )


def only(rows: Rows) -> FeedPatron:
    """Return the one right row."""
    assert [row.why for row in rows.wrong] == []
    (patron,) = rows.right
    return patron


def test_each_ready_map_has_an_export_here() -> None:
    """A map that no test reads is a guess."""
    assert {path.stem for path in SOURCES.glob("*.toml")} == EXPORTS.keys()


@pytest.mark.parametrize("name", EXPORTS)
def test_a_ready_map_reads_its_systems_export(tmp_path: Path, name: str) -> None:
    """The card, the birthday, where the patron lives, the card's last day and what keeps out."""
    patron = only(read(tmp_path, name, EXPORTS[name]))

    first = patron.identifiers[0]
    assert first.identifier.reveal() == f"card:{CARD}"
    assert first.valid_until == date(2030, 1, 31)
    assert patron.row.resident
    assert patron.birthday == (None if name == "rero-ils" else date(1970, 1, 31))
    assert (not first.active) if name in KEPT_OUT_BY_STATUS else bool(patron.row.blocks)
    assert (patron.pin is not None) == (name == "spreadsheet")


@pytest.mark.parametrize("name", EXPORTS)
def test_who_is_in_no_list_of_residents_lives_elsewhere(tmp_path: Path, name: str) -> None:
    """A category that a map does not name lets nobody in."""
    told = {"RESIDENT": "GUEST", GROUP: "guests", "Ja": "nej", ",15,": ",16,", '": 2': '": 7'}
    text = EXPORTS[name].replace("patron_types/1", "patron_types/2")
    for category, other in told.items():
        text = text.replace(category, other)

    assert not only(read(tmp_path, name, text)).row.resident


def test_alma_without_blocks_has_none(tmp_path: Path) -> None:
    """A field with a default may be left out, and an inactive block is none."""
    free: dict[str, Any] = {name: value for name, value in ALMA.items() if name != "user_block"}

    assert not only(read(tmp_path, "alma-json", json.dumps({"user": [free]}))).row.blocks


@pytest.mark.parametrize("missing", ["debarred", "cardnumber", "categorycode"])
def test_a_column_that_is_gone_stops_the_whole_file(tmp_path: Path, missing: str) -> None:
    """An export without the column of blocks would let everybody in; the line names its key."""
    (tmp_path / "export").write_text(EXPORTS["koha-report"].replace(missing, "moved"))

    result = look(tmp_path, "koha-report")

    assert result.exit_code == 1
    assert f"has no column {missing}" in str(result.exception)
    assert "source.map." in str(result.exception)


@pytest.mark.parametrize("gone", ["restricted", "category_id", "expiry_date", "cardnumber"])
def test_a_field_that_is_gone_sets_the_row_aside(tmp_path: Path, gone: str) -> None:
    """In JSON each row says what it has; without a default a row that lacks a field is wrong."""
    row = {name: value for name, value in KOHA.items() if name != gone}

    rows = read(tmp_path, "koha-api", json.dumps([row, {**KOHA, "patron_id": 52}]))

    assert [patron.patron_ref for patron in rows.right] == ["52"]
    (wrong,) = rows.wrong
    assert (wrong.line, wrong.patron_ref) == (1, "51")
    assert "has no such field" in wrong.why[0]


@pytest.mark.parametrize(
    ("column", "cell", "what"),
    [
        ("1970-01-31", "31.01.70", "birthday"),
        ("2030-01-31", "31/01/2030", "valid_until"),
        (CARD, "3.0E+09", "identifier"),
        ("51,", "51 52,", "patronId"),
    ],
)
def test_a_value_that_can_t_be_read_sets_its_row_aside(
    tmp_path: Path, column: str, cell: str, what: str
) -> None:
    """It names the line and the field, and quotes no value."""
    rows = read(tmp_path, "koha-report", EXPORTS["koha-report"].replace(column, cell))

    assert not rows.right
    (wrong,) = rows.wrong
    assert wrong.line == 2
    assert what in wrong.why[0]
    assert cell.strip(",") not in wrong.why[0]


HEADER = "Number;Card;PIN;Born;Lives here;Valid until;Blocked\n"


@pytest.mark.parametrize(
    "written",
    [
        (HEADER + f'51;="{CARD}";0711;31-01-1970;ja;31-01-2030;æ\n').encode("utf-8-sig"),
        (HEADER + f"51;{CARD};0711;31/01/1970;ja;2030-01-31 00:00:00;æ\n").encode("utf-16"),
        (HEADER + f"51;{CARD};0711;31-01-1970;ja;31-01-2030;æ\r\n\r\n").encode("cp1252"),
        (HEADER + f"51;{CARD};0711;31-01-1970;ja;31-01-2030;æ\n")
        .replace(";", ",")
        .encode("cp1252"),
        (HEADER + f"51;{CARD};0711;31-01-1970;ja;31-01-2030;æ\n")
        .replace(";", "\t")
        .encode("cp1252"),
    ],
    ids=["formula and mark", "UTF-16 and times", "cp1252 and blank lines", "commas", "tabs"],
)
def test_a_spreadsheet_is_read_with_its_habits(tmp_path: Path, written: bytes) -> None:
    """Marks, encodings, what separates cells, formulas that keep zeros, dates with a time."""
    patron = only(read(tmp_path, "spreadsheet", written))

    assert patron.identifiers[0].identifier.reveal() == f"card:{CARD}"
    assert patron.pin is not None
    assert patron.row.blocks == {"D"}
    assert patron.identifiers[0].valid_until == date(2030, 1, 31)


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("koha-api", EXPORTS["koha-api"][:-9]),
        ("koha-api", '{"patrons": []}'),
        ("folio", '{"people": []}'),
        ("folio", EXPORTS["folio"][:-30]),
        ("alma-xml", EXPORTS["alma-xml"][:-20]),
        ("alma-xml", "<users><person/></users>"),
        ("koha-report", ""),
        ("koha-report", EXPORTS["koha-report"] + '52,"300\n'),
        ("spreadsheet", (HEADER + "51;\x98").encode("latin-1") + b"\x81;\n"),
    ],
)
def test_a_file_that_ends_early_or_is_another_one_is_refused_whole(
    tmp_path: Path, name: str, written: str | bytes
) -> None:
    """Half an export would take out the other half."""
    with pytest.raises(FeedError):
        read(tmp_path, name, written)


BRANCH = """
[branch]
name = "Filialen"
id = "oest"
[controller]
name = "Kommunen"
address = "Torvet 1"
mail = "b@b.example"
phone = "12 34 56 78"
[storage]
directory = "data"
[secrets]
installation_key_file = "data/installation.key"
[seal]
memory_kib = 8
[reader]
port = "/dev/null/reader"
[gpio]
factory = "mock"
[clock]
trust = "always"
"""


def test_a_card_of_their_export_opens(tmp_path: Path) -> None:
    """A spreadsheet is loaded by its map, and the door's own judgement lets its patron in."""
    source = (SOURCES / "spreadsheet.toml").read_text(encoding="utf-8")
    (tmp_path / "doorctl.toml").write_text(BRANCH + source, encoding="utf-8")
    (tmp_path / "data").mkdir()
    export = tmp_path / "export.csv"
    export.write_text(f"{HEADER}51;{CARD};0711;31-01-1970;ja;;\n52;3000005678;1234;;nej;;\n")

    def call(*words: str, typed: str = "") -> Result:
        result = CliRunner().invoke(
            app, [*words, "--config", str(tmp_path / "doorctl.toml")], input=typed
        )
        assert result.exit_code == 0, (result.output, result.exception)
        return result

    call("init")
    call("patrons", "load", str(export), "--full")

    ours = json.loads(call("patrons", "explain", "-", "--json", typed=f"{CARD}\n").output)
    theirs = json.loads(call("patrons", "explain", "-", "--json", typed="3000005678\n").output)
    assert (ours["verdict"], theirs["reason"]) == ("granted", "not_resident")


def test_sync_look_shows_what_rows_become_and_no_number(tmp_path: Path) -> None:
    """Counts, the first rows, why others are set aside and what is suspicious; nothing is kept."""
    rows = "".join(
        f"{number},30000{number:05},1970-01-01,RESIDENT,2030-01-31,,0,\n" for number in range(30)
    )
    header = EXPORTS["koha-report"].partition("\n")[0]
    (tmp_path / "export").write_text(f"{header}\n{rows}99,{CARD},1970-13-01,RESIDENT,,,0,\n")
    before = sorted(path.name for path in tmp_path.iterdir())

    result = look(tmp_path, "koha-report", "--json")

    assert result.exit_code == 0, result.output
    seen = json.loads(result.output)
    assert seen["counts"]["patrons"] == seen["counts"]["without_pin"] == 30
    assert seen["counts"]["set_aside"] == 1
    assert any("no patron is blocked" in text for text in seen["suspicions"])
    assert any("1 January" in text for text in seen["suspicions"])
    assert any("each patron is resident" in text for text in seen["suspicions"])
    assert "30000" not in result.output
    assert {path.name for path in tmp_path.iterdir()} == {*before, "sync.toml"}
