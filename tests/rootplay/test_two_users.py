"""Bugs that were found.

Bug (penetration test): door and web were one user: a captured web changed the door log and the
throttle, or put another file in their place, and signed holds as staff.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.rootplay.test_rootplay import permitted


@pytest.mark.skipif(not permitted(), reason="only root, with mounts of its own, can be two users")
def test_door_and_web_are_two_users() -> None:
    """Each reads what the other writes, and neither can write it; `two_users` says all of it."""
    program = [sys.executable, "-m", "tests.rootplay.two_users"]
    done = subprocess.run(program, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


AT_HOME = """
import os, sys
from pathlib import Path
from doorctl.core.identity import owner_of
os.chdir(sys.argv[1])
os.seteuid(65534)
with owner_of(Path("feed").parent):
    print(os.geteuid(), Path("feed").read_text())
"""


@pytest.mark.skipif(not permitted(), reason="only root can act as somebody else and come back")
def test_a_feed_in_roots_own_folder_is_read_as_root(tmp_path: Path) -> None:
    """A command that acts as web finds the owner of the closed folder that root stands in."""
    tmp_path.chmod(0o700)
    (tmp_path / "feed").write_text("rows")
    program = [sys.executable, "-c", AT_HOME, str(tmp_path)]
    done = subprocess.run(program, capture_output=True, text=True, check=False)

    assert (done.stdout, done.returncode) == ("0 rows\n", 0), done.stderr
