from __future__ import annotations

import os
import subprocess
import sys

import click
import pytest

from doorctl.cli.app import app
from tests.rootplay.play import ASKED, NOT_ASKED

LOCK = r"^root: .*; \w+/(branch|visits)\.db\.lock is link$"


def permitted() -> bool:
    """Tell whether we are root and may have mounts of our own."""
    return os.geteuid() == 0 and not subprocess.run(["unshare", "--mount", "true"]).returncode  # noqa: PLW1510


def _commands(group: click.Group, before: str = "") -> set[str]:
    context = click.Context(group)
    found = set()
    for name in group.list_commands(context):
        command, words = group.get_command(context, name), f"{before} {name}".strip()
        if isinstance(command, click.Group):
            found |= _commands(command, words)
            found |= {words} if command.invoke_without_command else set()
        else:
            found.add(words)
    return found


def test_every_command_is_played_against() -> None:
    """A new command that root gives is tried as well, or says why it need not be."""
    assert _commands(app) == ASKED.keys() | NOT_ASKED


@pytest.mark.skipif(not permitted(), reason="only root, with mounts of its own, can be lured")
@pytest.mark.parametrize("plays", [("--of", LOCK), ("--some", "60", "--seed", "1")])
def test_nothing_of_roots_is_given_away(plays: tuple[str, ...]) -> None:
    """Whatever a service user lays at a name: root's files stay as they are, and unread.

    What a command makes in a service user's directory is that user's.

    Each command ends in time, with a sentence where it fails and never with a traceback.
    """
    program = [sys.executable, "-m", "tests.rootplay", *plays]
    done = subprocess.run(program, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
