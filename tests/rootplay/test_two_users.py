from __future__ import annotations

import subprocess
import sys

import pytest

from tests.rootplay.test_rootplay import permitted


@pytest.mark.skipif(not permitted(), reason="only root, with mounts of its own, can be two users")
def test_door_and_web_are_two_users() -> None:
    """Each reads what the other writes, and neither can write it; `two_users` says all of it."""
    program = [sys.executable, "-m", "tests.rootplay.two_users"]
    done = subprocess.run(program, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
