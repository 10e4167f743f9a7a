"""Texts that are loaded as a configuration, and what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from doorctl.config import Config, load
from doorctl.core.errors import ConfigError

RIGHT = """
[branch]
name = "Randers Bibliotek, Øst"
id = "oest"
[reader]
port = "/dev/ttyUSB0"
"""
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
FBS = """
[lms]
kind = "fbs"
url = "https://cms.example/rest"
agency = "DK-773000"
user = "doorctl"
password_file = "lms.password"
"""
SIP2 = """
[lms]
kind = "sip2"
url = "sip2s://sip2.example:6002"
agency = "DK-773000"
"""
KOHA = """
[lms]
kind = "koha"
url = "https://koha.example"
user = "0f3a-client"
password_file = "lms.password"
"""
FOLIO = """
[lms]
kind = "folio"
url = "https://folio.example"
agency = "randers"
user = "doorctl"
password_file = "lms.password"
"""
OIDC = """
[signin.oidc]
issuer = "https://login.example/realms/kommune"
client_id = "doorctl-oest"
client_secret_file = "$CREDENTIALS_DIRECTORY/oidc"
redirect_url = "https://door-oest.example/sign-in/municipality/back"
roles = ["manager=CN=dør ledere,OU=x", "staff=doorctl-staff"]
"""
SENDER = """
[branch]
name = "Randers Bibliotek"
id = "sender"
[sync]
feed = "exports"
"""

Configured = Callable[..., Config]
Wrong = Callable[..., list[str]]

_CASE = re.compile(r"((?:^[^!\s].*\n)+)((?:^[! ] .*\n)+)", re.MULTILINE)


def cases(table: str, *around: str) -> list[Any]:
    """Return what stands in a table: lines as they are written, and those that tell of them.

    What is told begins with a ``!``, and goes on where a line is indented. `around` comes first.
    """
    return [
        pytest.param(
            *around,
            written,
            re.findall(r"^! (.*)$", told.replace("\n  ", " "), re.MULTILINE),
            id=written.splitlines()[-1][:50],
        )
        for written, told in _CASE.findall(table)
    ]


@pytest.fixture
def configured(tmp_path: Path) -> Configured:
    """Return a function that loads a text, under overrides, where systemd hands over secrets."""

    def load_text(text: str, *overrides: str) -> Config:
        path = tmp_path / "doorctl.toml"
        path.write_text(text, encoding="utf-8")
        return load(path, overrides, environment={"CREDENTIALS_DIRECTORY": "/run/credentials"})

    return load_text


@pytest.fixture
def wrong(configured: Configured, tmp_path: Path) -> Wrong:
    """Return a function that loads a wrong text, and returns the problems' lines."""

    def lines_of(text: str, *overrides: str) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            configured(text, *overrides)
        lines = [str(problem) for problem in caught.value.problems]
        assert str(caught.value).splitlines() == [
            f"{tmp_path / 'doorctl.toml'}: {line}" for line in lines
        ]
        return lines

    return lines_of
