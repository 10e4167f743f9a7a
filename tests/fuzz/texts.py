"""Files that people and other programs write: a configuration, an export of patrons."""

from __future__ import annotations

import re
from pathlib import Path

from doorctl.config import load
from doorctl.config.shipped import shipped
from doorctl.core.errors import ConfigError, FeedError, ProblemsError
from doorctl.sync.feed import read_feed

EXAMPLE = shipped("demo.toml").read_bytes()
CONFIG_SEEDS = (
    EXAMPLE,
    EXAMPLE + b'\n[hours]\nmonday = ["06:00-22:00"]\nholidays = "closed"\n',
    EXAMPLE + b'\n[policy]\nminimum_age = 15\ndeny_blocks = ["O"]\n[visits]\nretention_days = 30\n',
    EXAMPLE + b'\n[[outputs]]\nname = "light"\npin = 12\non_in = ["self_service"]\n',
    EXAMPLE + b'\n[[sync.targets]]\nbranch = "syd"\nurl = "https://syd.example/"\n',
)
CONFIG_WORDS = (
    b"\n", b"[", b"]", b"[[", b"]]", b"=", b'"', b"'", b"'''", b'"""', b"{", b"}", b".", b"#", b",",
    b"-1", b"0", b"1e400", b"nan", b"inf", b"true", b"2026-02-30", b"24:00", b"0x7fffffffffffffff",
    b"9" * 5000, b"[" * 300, b"\xff", b"\\u0000", b"$CREDENTIALS_DIRECTORY/", b"policy.",
    b"[door]\n", b"[hours]\n", b'monday = ["22:00-06:00"]\n', b"release_s = 0.0\n",
)  # fmt: skip

PATRON = (
    b'{"patronId":1001,"identifiers":[{"identifier":"0101701234","identifierType":"CPR",'
    b'"status":"ACTIVE","expiryDate":null},{"identifier":"3000001234","identifierType":"CARD",'
    b'"status":"ACTIVE"}],"pincode":"4711","resident":true,"birthday":"1970-01-01",'
    b'"blockStatus":[{"blockedReason":"E","blockedSince":"2026-01-02","message":""}],'
    b'"onHold":null,"tags":[],"preferredPickupBranch":"DK-773000"}\n'
)
SHEET = (
    b"patronId;identifier;identifierType;status;pincode;resident;birthday\n"
    b"1001;3000001234;CARD;ACTIVE;4711;true;1970-01-01\n"
)
FEED_SEEDS = (
    b"\x00" + PATRON,
    b"\x00" + PATRON + PATRON.replace(b"1001", b"1002").replace(b"1234", b"1235"),
    b"\x00" + PATRON.replace(b"null", b'"2030-01-01"').replace(b'"4711"', b"4711"),
    b"\x01" + SHEET,
    b"\x01" + SHEET.replace(b";", b",").replace(b"\n", b"\r\n"),
)
FEED_WORDS = (
    b"\n", b"\r\n", b"{", b"}", b"[", b"]", b'"', b":", b",", b";", b"\t", b"null", b"true",
    b"1e999", b"NaN", b'"\\ud800"', b"\xff", b"\xef\xbb\xbf", b'"pincode":', b'"12"', b"\x00",
    b"[" * 200, b"9" * 40, b'"9999-12-31"', b'"0001-01-01"', b"0101701234", b"CARD", b"\xe6",
)  # fmt: skip
LONGEST = 8_000

PERSONAL = re.compile(r"[0-9]{6}")
"""Six digits in a row are part of a card's or a person's number; no line or limit here has as many.
"""


class Files:
    """Checks inputs as files in one directory.

    `directory`: on a RAM disk, if there is one.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def check_config(self, data: bytes) -> None:
        """Check one configuration: read, or refused with problems that say what to do."""
        path = self._directory / "fuzzed.toml"
        path.write_bytes(data)
        try:
            load(path)
        except ConfigError as error:
            _check_problems(error)

    def check_feed(self, data: bytes) -> None:
        """Check one export, JSON or CSV by the first byte: read, or refused without a quotation."""
        path = self._directory / ("feed.csv" if data[:1] == b"\x01" else "feed.ndjson")
        path.write_bytes(data[1:])
        try:
            patrons = read_feed(path, pin_length=4)
        except FeedError as error:
            _check_problems(error)
            _check_unquoted(error)
        else:
            assert "4711" not in repr(patrons), "a PIN is shown"


def _check_unquoted(error: FeedError) -> None:
    assert not PERSONAL.search(str(error)), "a problem quotes a number"


def _check_problems(error: ProblemsError) -> None:
    assert error.problems
    assert all(problem.where and problem.what for problem in error.problems)
    str(error)
