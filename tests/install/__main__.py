"""``python -m tests.install``: do what systemd/README.md says, in an empty Debian, line by line.

Bug (operations review): the installation failed as written on Debian 13, and the server's ended in
"Permission denied".
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import click

from tests.install.machine import empty_debian

CACHE = Path("/var/tmp/doorctl-install")  # noqa: S108 - root's, and too big for /tmp
NEEDED = ("debootstrap", "systemd-nspawn", "unshare", "nsenter", "ip")
OWN = "unshare --mount --pid"
PACKAGES = "debootstrap systemd-container util-linux iproute2"


@click.command()
@click.option(
    "--tree",
    type=click.Path(path_type=Path),
    default=CACHE,
    help="Where the empty Debian is kept; made if it is not there.",
)
def run(tree: Path) -> None:
    """Print each command of the page with its time. Exit 1 at the first that fails."""
    missing = [tool for tool in NEEDED if shutil.which(tool) is None]
    if missing or os.getuid() != 0:
        raise SystemExit(f"this is for root, with: apt install {PACKAGES}; missing: {missing}")
    tree.mkdir(parents=True, exist_ok=True)
    empty_debian(tree / "base")
    with tempfile.TemporaryDirectory(prefix="run-", dir=tree) as directory:
        # With its processes its mounts are gone: what is deleted then is all ours.
        own = f"{OWN} --propagation private --fork --kill-child --mount-proc".split()
        inside = (sys.executable, "-m", "tests.install.trial", tree / "base", directory)
        sys.exit(subprocess.run([*own, *inside], check=False).returncode)


if __name__ == "__main__":
    run()
