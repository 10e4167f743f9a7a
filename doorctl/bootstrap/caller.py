"""Who calls: the login that stands beside what a command did."""

from __future__ import annotations

import os
import pwd

ROOT = 0


def caller() -> str:
    """Return the login name of whoever calls, through sudo too; it stands beside what they did."""
    through_sudo = os.environ.get("SUDO_USER", "") if os.getuid() == ROOT else ""
    if through_sudo:
        return through_sudo
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"
