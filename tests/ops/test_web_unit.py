"""Web's unit holds a line for each secret that the configuration may name."""

from __future__ import annotations

import re
from pathlib import Path

WEB = Path(__file__).parents[2] / "systemd" / "doorctl-web.service"


def test_each_secret_has_its_line() -> None:
    """Whoever fills in mail, webhook, library system, sign-in or TLS only takes a ``#`` off."""
    lines = re.findall(
        r"^# LoadCredential=(\S+):/etc/doorctl/(\S+)$", WEB.read_text(), re.MULTILINE
    )

    assert all(name == file for name, file in lines)
    assert {name for name, _ in lines} == {
        "web.key",
        "mail.password",
        "webhook.secret",
        "lms.password",
        "terminal.password",
        "oidc.secret",
    }
