"""The package as its user meets it: by apt in an empty Debian, with the page's own commands.

For root, with a package (``DOORCTL_PACKAGES``) and an empty Debian that stays as it is
(``DOORCTL_DEBIAN``): ``python -m tests.install`` leaves one in its ``--tree``.

Bug (the package, installed in an empty Debian): `patrons load FEED.ndjson` in root's home ended in
a traceback: the user that it acts as could not look at the folder that it stood in; one that went
well still exited 1.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.install.readme import README, ROOT, blocks

DEBIAN = Path(os.environ.get("DOORCTL_DEBIAN", "/nowhere"))
INSIDE = """
set -e
mount -t tmpfs tmpfs "$0"; cd "$0"; mkdir upper work root
mount -t overlay overlay -o "lowerdir=$1,upperdir=upper,workdir=work" root
mount -t proc proc root/proc; mount --rbind /dev root/dev
cp "$2" root/root/package.deb; cp "$3" root/root/FEED.ndjson; printf '%s' "$4" >root/root/commands
cp /etc/resolv.conf root/etc/ 2>/dev/null || true
exec chroot root env -i HOME=/root LANG=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin \
  DEBIAN_FRONTEND=noninteractive sh -exc 'cd /root; . ./commands'
"""
(PAGES,) = [
    one.text for one in blocks(README.read_text("utf-8")) if one.text.startswith("[branch]")
]
ANSWERED = (
    "echo a long enough passphrase of words >/root/first.password\n"
    f"cat >a <<'END'\n{PAGES}[gpio]\nfactory = \"mock\"\nEND\n"
)
"""The page's answers, on a machine without pins."""
UNITS = "doorctl-door.service doorctl-web.service doorctl-sync.timer doorctl-sync-full.timer"
Machine = Callable[[str], str]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Return what runs a script in an empty Debian of its own, with what was built beside it."""
    found = list(Path(os.environ.get("DOORCTL_PACKAGES", "/nowhere")).glob("doorctl_*_amd64.deb"))
    if not found or not DEBIAN.is_dir() or os.getuid() != 0:
        pytest.skip("for root, with DOORCTL_PACKAGES and DOORCTL_DEBIAN; see packaging/README.md")
    page = (ROOT / "doorctl/sync/README.md").read_text("utf-8")
    row = re.search(r'^\{"patronId.*$', page, re.MULTILINE)
    assert row is not None
    feed = tmp_path / "feed"
    feed.write_text(row[0] + "\n", encoding="utf-8")
    (tmp_path / "machine").mkdir()

    def run(script: str) -> str:
        own = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", INSIDE)
        words = (*own, tmp_path / "machine", DEBIAN, found[0], feed, script)
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        return done.stdout

    return run


def test_it_is_installed_used_removed_and_purged(machine: Machine) -> None:
    """The page's commands end well, by its own answers, and what was written stays to the end."""
    page = blocks(README.read_text("utf-8"))
    (block,) = [one for one in page if "doorctl_VERSION_arm64" in one.text]
    lines = block.text.replace("./doorctl_VERSION_arm64.deb", "-qy ./package.deb")
    lines = lines.replace("reboot\n", "").replace(
        "doorctl setup", f"{ANSWERED}doorctl setup --answers a"
    )
    clock = "mkdir -p /run/systemd/timesync; touch /run/systemd/timesync/synchronized\n"
    said = machine(
        clock
        + lines
        + f"systemd-analyze verify {UNITS}\n"
        + "ls /etc/systemd/system/*.wants/doorctl*\n"
        + "doorctl demo --once >demo\n"
        + "apt-get remove -qy doorctl\n"
        + "! ls /etc/systemd/system/*.wants/doorctl*\n"
        + "test ! -e /opt/doorctl\n"
        + "apt-get purge -qy doorctl\n"
        + "ls /etc/doorctl /var/lib/doorctl\n"
    )

    kept = said.rpartition("/etc/doorctl:\n")[2].split()
    assert {"doorctl.toml", "installation.key", "branch.db", "patrons.db"} <= set(kept)


def test_purge_deletes_what_somebody_says_is_to_be_deleted(machine: Machine) -> None:
    """A yes to its question, here one given beforehand, takes keys and databases away."""
    said = machine(
        "apt-get update -q; apt-get install -qy ./package.deb\n"
        "touch /etc/doorctl/installation.key\n"
        "echo doorctl doorctl/delete-data boolean true | debconf-set-selections\n"
        "apt-get purge -qy doorctl; ls -d /etc/doorctl /var/lib/doorctl* || echo gone\n"
    )

    assert said.endswith("gone\n")
