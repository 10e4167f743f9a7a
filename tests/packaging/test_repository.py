"""One command puts packages where apt takes them from, signed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = """\
Types: deb
URIs: file:{public}
Suites: trixie
Components: main
Architectures: amd64
Signed-By: {public}/doorctl.pgp
"""
CONTROL = """\
Package: doorctl
Version: {version}
Architecture: amd64
Maintainer: nobody <nobody@localhost>
Section: admin
Priority: optional
Description: only a name
"""


def run(*words: str | Path, **environment: str) -> str:
    """Run a command; return what it printed."""
    return subprocess.run(
        words, check=True, text=True, env=os.environ | environment, stdout=subprocess.PIPE
    ).stdout


def named(room: Path, version: str) -> Path:
    """Make a package with nothing in it."""
    (room / version / "DEBIAN").mkdir(parents=True)
    control = room / version / "DEBIAN" / "control"
    control.write_text(CONTROL.format(version=version), encoding="utf-8")
    file = room / f"doorctl_{version}_amd64.deb"
    run("dpkg-deb", "--build", "--root-owner-group", room / version, file)
    return file


def test_apt_believes_the_key_and_takes_the_newest(tmp_path: Path) -> None:
    """What is signed by the repository's key is offered, and a release follows its own ~dev."""
    missing = [tool for tool in ("reprepro", "gpg", "apt-get") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"this machine has no {', '.join(missing)}")
    keys = tmp_path / "keys"
    keys.mkdir(mode=0o700)
    gpg = ("gpg", "--batch", "--quiet", "--passphrase", "")
    run(*gpg, "--quick-generate-key", "doorctl test", "ed25519", "sign", GNUPGHOME=str(keys))
    repository = tmp_path / "repository"
    for version in ("0.3.0~dev202611281200", "0.3.0"):
        command = (ROOT / "packaging/repository", repository, "doorctl test")
        run(*command, named(tmp_path, version), GNUPGHOME=str(keys))
    run("gpgconf", "--kill", "all", GNUPGHOME=str(keys))

    state = tmp_path / "state"
    (state / "lists/partial").mkdir(parents=True)
    source = tmp_path / "doorctl.sources"
    source.write_text(SOURCES.format(public=repository / "public"), encoding="utf-8")
    settings = {
        "Dir::State": state,
        "Dir::State::status": "/dev/null",
        "Dir::Cache": tmp_path / "cache",
        "Dir::Etc::sourcelist": source,
        "Dir::Etc::sourceparts": "-",
        "Dir::Etc::preferencesparts": "-",
        "APT::Sandbox::User": "root",
    }
    apt = [f"--option={name}={value}" for name, value in settings.items()]
    run("apt-get", *apt, "-qq", "update")
    policy = run("apt-cache", *apt, "policy", "doorctl")

    assert "Candidate: 0.3.0\n" in policy
