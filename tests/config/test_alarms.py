"""The tables about alarms: off by default, whole or told, nothing secret in the clear."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from doorctl.config.tables import Alarms
from tests.config.conftest import RIGHT, Configured, Wrong

EMAIL = """
[alarms.email]
host = "mail.example"
sender = "doorctl@randers.example"
to = ["vagt@randers.example"]
"""
HOOK = """
[alarms.webhook]
url = "https://alarms.example/doorctl"
secret_file = "hook.secret"
"""

Loading = Callable[[str], Alarms]


@pytest.fixture
def loaded(configured: Configured) -> Loading:
    """Return a function that loads tables."""
    environment = {"CREDENTIALS_DIRECTORY": "/run/credentials"}
    return lambda text: configured(RIGHT + text, environment=environment).alarms


def test_nothing_is_sent_by_default(loaded: Loading) -> None:
    """Without the tables alarms stay in the journal."""
    assert loaded("") == Alarms()
    assert not loaded("").wanted


def test_either_way_is_enough(loaded: Loading, tmp_path: Path) -> None:
    """Paths count from the file and systemd's names are filled in; addresses keep their order."""
    email = loaded(EMAIL + 'user = "doorctl"\npassword_file = "$CREDENTIALS_DIRECTORY/mail"\n')
    hook = loaded(HOOK)

    assert email.wanted
    assert email.email.to == ("vagt@randers.example",)
    assert (email.email.port, email.email.security) == (587, "starttls")
    assert email.email.password_file == Path("/run/credentials/mail")
    assert (email.language, email.min_interval_min, email.most_per_hour) == ("da", 60.0, 20)
    assert hook.wanted
    assert hook.webhook.secret_file == tmp_path / "hook.secret"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '[alarms.email]\nhost = "mail.example"',
            [
                "alarms.email.sender: missing beside alarms.email.host; give it",
                "alarms.email.to: missing beside alarms.email.host; give it",
            ],
        ),
        (
            '[alarms.email]\nto = ["vagt@randers.example"]',
            [
                "alarms.email.host: missing beside alarms.email.to; give it",
                "alarms.email.sender: missing beside alarms.email.to; give it",
            ],
        ),
        (
            EMAIL + 'user = "doorctl"',
            ["alarms.email.password_file: missing beside alarms.email.user; give it"],
        ),
        (
            '[alarms.webhook]\nurl = "https://alarms.example"',
            ["alarms.webhook.secret_file: missing beside alarms.webhook.url; give it"],
        ),
        (
            EMAIL + 'user = "doorctl"\npassword_file = "p"\nsecurity = "none"',
            [
                (
                    'alarms.email.security: found "none" beside a user, whose password would go '
                    'in the clear; give "starttls" or "tls"'
                )
            ],
        ),
        (
            HOOK.replace("https", "http"),
            [
                (
                    'alarms.webhook.url: found "http://alarms.example/doorctl", which tells '
                    "another machine of alarms in the clear; give https://"
                )
            ],
        ),
        (
            HOOK.replace(".example/", ".example:99999/"),
            [
                (
                    'alarms.webhook.url: found "https://alarms.example:99999/doorctl", whose port '
                    "is none; mend it"
                )
            ],
        ),
    ],
)
def test_tables_that_are_not_whole_are_told(wrong: Wrong, text: str, expected: list[str]) -> None:
    """Each problem is a line with the key to change."""
    assert wrong(text) == expected


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (EMAIL.replace("vagt@", "vagt@x.example>,<"), "alarms.email.to"),
        (EMAIL.replace('"vagt@randers.example"', '"vagt"'), "alarms.email.to"),
        (EMAIL.replace("doorctl@randers.example", "Vagten <v@r.example>"), "alarms.email.sender"),
        (HOOK.replace("https://", "ftp://"), "alarms.webhook.url"),
        (HOOK.replace("https://", "https://user:secret@"), "alarms.webhook.url"),
    ],
)
def test_a_wrong_key_is_told(wrong: Wrong, text: str, key: str) -> None:
    """Each key is checked by itself: an address is one plain address and nothing more."""
    (line,) = wrong(text)

    assert line.startswith(f"{key}: found ")


HERE = EMAIL + 'security = "none"\nuser = "u"\npassword_file = "p"\n'


@pytest.mark.parametrize(
    "text",
    [
        *(HERE.replace("mail.example", host) for host in ("127.0.0.1", "localhost", "::1")),
        EMAIL + 'security = "none"\n',
        HOOK.replace("https://alarms.example", "http://127.0.0.1:9"),
    ],
)
def test_what_may_be_plain(loaded: Loading, text: str) -> None:
    """What ends on this machine, and a relay without an account on the branch's own net."""
    assert loaded(text).wanted
