"""The package as its user meets it: by apt in an empty Debian, with the page's own commands.

For root, with a package (``DOORCTL_PACKAGES``) and an empty Debian that stays as it is
(``DOORCTL_DEBIAN``): ``tests/install/run`` leaves one, ``base`` in its ``--cache``.

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

from tests.install.pages import ROOT, block_that_says

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
PAGES = block_that_says("[branch]").text
ANSWERED = (
    "echo a long enough passphrase of words >/root/first.password\n"
    f"cat >a <<'END'\n{PAGES}[gpio]\nfactory = \"mock\"\nEND\n"
)
"""The page's answers, on a machine without pins."""
UNITS = "doorctl-door.service doorctl-web.service doorctl-sync.timer doorctl-sync-full.timer"
Machine = Callable[[str], str]


def as_here(lines: str) -> str:
    """Have the page's lines name the package that lies here, and answer what apt asks."""
    return re.sub(r"\./doorctl_VERSION_\w+\.deb", "-qy ./package.deb", lines)


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
    lines = (
        as_here(block_that_says("doorctl setup\n").text)
        .replace("reboot\n", "")
        .replace("doorctl setup", f"{ANSWERED}doorctl setup --answers a")
    )
    clock = "mkdir -p /run/systemd/timesync; touch /run/systemd/timesync/synchronized\n"
    said = machine(
        clock
        + lines
        + f"systemd-analyze verify {UNITS}\n"
        + "ls /etc/systemd/system/*.wants/doorctl*\n"
        + "doorctl demo --once >demo\n"
        + "apt-get remove -qy doorctl\n"
        + "if ls /etc/systemd/system/*.wants/doorctl* /opt/doorctl; then exit 1; fi\n"
        + "apt-get purge -qy doorctl\n"
        + "ls /etc/doorctl /var/lib/doorctl\n"
    )

    kept = said.rpartition("/etc/doorctl:\n")[2].split()
    assert {"doorctl.toml", "installation.key", "branch.db", "patrons.db"} <= set(kept)


def test_the_servers_commands_make_what_a_sender_needs(machine: Machine) -> None:
    """Its folder, its configuration and both keys, of a user that is no root."""
    lines = as_here(block_that_says("install -d -m 0750").text).replace("editor", "test -s")
    said = machine(
        lines
        + "stat -c %U:%a /var/lib/doorctl-sync/installation.key /var/lib/doorctl-sync/signing.key\n"
        + "stat -c %U:%G:%a /srv/doorctl/exports\n"
    )

    assert said.endswith("doorctl-sync:600\ndoorctl-sync:600\nroot:doorctl-sync:750\n")


CHECKOUT = """
units=/etc/systemd/system
mkdir -p /opt/doorctl/bin $units/doorctl-web.service.d /etc/sysusers.d /etc/doorctl
cp /usr/bin/false /opt/doorctl/bin/doorctl && ln -s /opt/doorctl/bin/doorctl /usr/local/bin/
for unit in door web backup; do
  echo '[Service]\nExecStart=/opt/doorctl/bin/doorctl\n[Install]\nWantedBy=multi-user.target' \
    >$units/doorctl-$unit.service
done
echo '[Service]\nIPAddressAllow=203.0.113.25' >$units/doorctl-web.service.d/override.conf
echo 'u doorctl-door -' >/etc/sysusers.d/doorctl.conf
touch /etc/doorctl/installation.key
systemctl enable doorctl-door doorctl-web
"""
"""What the page of 0.2 had made from a checkout; ``sh`` is dash, whose ``echo`` knows line ends."""


def test_a_branch_from_a_checkout_goes_over_to_the_package(machine: Machine) -> None:
    """Its own units and program are gone, so none goes before the package's; the rest stays."""
    lines = as_here(block_that_says("rm -rf /opt/doorctl /usr/local").text)
    # No systemd runs here, which is what it would start.
    lines = lines.replace(" --now", "")
    said = machine(
        f"{CHECKOUT}{lines}"
        "command -v doorctl; readlink $units/multi-user.target.wants/doorctl-door.service\n"
        "ls /etc/doorctl/installation.key $units/doorctl-web.service.d/override.conf\n"
        "if ls $units/doorctl-*.service /etc/sysusers.d/doorctl.conf /opt/doorctl/bin\n"
        "then exit 1; fi\n"
        "doorctl --version\n"
    )

    *_, program, unit, _key, _drop_in, version = said.splitlines()
    assert (program, unit) == ("/usr/bin/doorctl", "/usr/lib/systemd/system/doorctl-door.service")
    assert version.startswith("doorctl, version ")


def test_purge_deletes_what_somebody_says_is_to_be_deleted(machine: Machine) -> None:
    """A yes to its question, here one given beforehand, takes keys and databases away."""
    said = machine(
        "apt-get update -q; apt-get install -qy ./package.deb\n"
        "touch /etc/doorctl/installation.key\n"
        "echo doorctl doorctl/delete-data boolean true | debconf-set-selections\n"
        "apt-get purge -qy doorctl; ls -d /etc/doorctl /var/lib/doorctl* || echo gone\n"
    )

    assert said.endswith("gone\n")
