"""Nothing that the demo started outlives it, however it ends.

Bug (flaky end-to-end tests): a killed demo's door went on reading pseudo-terminals that now
belonged to others.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path

from doorctl.config import load
from doorctl.demo.door import Stage, shipped
from doorctl.services.installation import initialise
from tests.demo.test_page import demo

LIMIT_S = 30.0


def children(pid: int) -> set[int]:
    """Return the processes that a process has started and that still run."""
    listed = (task / "children" for task in Path(f"/proc/{pid}/task").iterdir())
    return {int(child) for children in listed for child in children.read_text().split()}


def runs(pid: int) -> bool:
    """Tell whether a process runs; a dead one that nobody has asked for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_demo_that_is_killed_leaves_no_process(tmp_path: Path) -> None:
    """SIGKILL gives it no time to stop anything, and door and staff pages end all the same."""
    with demo(tmp_path) as shown:
        started = children(shown.process.pid)
        assert len(started) == 2
        shown.process.kill()
        shown.process.wait()

        end_s = time.monotonic() + LIMIT_S
        while any(map(runs, started)) and time.monotonic() < end_s:
            time.sleep(0.01)
        assert not any(map(runs, started))


def test_a_door_outlives_the_thread_that_started_it(tmp_path: Path) -> None:
    """It hangs on the process: a request's thread that starts it again is over at once."""
    with Stage(tmp_path, shipped("demo.toml")) as stage:
        initialise(load(shipped("demo.toml"), stage.overrides))
        starting = threading.Thread(target=stage.start)
        starting.start()
        starting.join()

        assert stage.call("status").returncode == 0
        assert stage.stop() == 0
