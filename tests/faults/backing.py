"""A backup whose name no clock changes; its words are the configuration and ``--set`` values."""

from __future__ import annotations

import sys
from pathlib import Path

from doorctl.config import load
from doorctl.core.errors import DoorctlError
from doorctl.services.app import App
from doorctl.services.installation import make_backup
from tests.fakes.clock import FakeClock


def main() -> int:
    """Make it, and say why not as the command does."""
    config = load(Path(sys.argv[1]), sys.argv[2:])
    try:
        make_backup(App(config, FakeClock()))
    except DoorctlError as err:
        sys.stderr.write(f"doorctl: {err}\n")
        return 1
    return 0
