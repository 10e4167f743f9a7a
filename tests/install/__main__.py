"""``python -m tests.install``: do what systemd/README.md says, in an empty Debian, line by line.

Bug (operations review): the installation failed as written on Debian 13, and the server's ended in
"Permission denied".
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import click

from tests.install.machine import APART, empty_debian, refuse_without

CACHE = Path("/var/tmp/doorctl-install")  # noqa: S108 - root's, and too big for /tmp
NEEDED = {
    "debootstrap": "debootstrap",
    "systemd-nspawn": "systemd-container",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "ip": "iproute2",
}


@click.command()
@click.option(
    "--tree",
    type=click.Path(path_type=Path),
    default=CACHE,
    help="Where the empty Debian is kept; made if it is not there.",
)
def run(tree: Path) -> None:
    """Print each command of the page with its time. Exit 1 at the first that fails."""
    refuse_without(NEEDED)
    tree.mkdir(parents=True, exist_ok=True)
    empty_debian(tree / "base")
    with tempfile.TemporaryDirectory(prefix="run-", dir=tree) as directory:
        inside = (sys.executable, "-m", "tests.install.trial", tree / "base", directory)
        sys.exit(subprocess.run([*APART, *inside], check=False).returncode)


if __name__ == "__main__":
    run()
