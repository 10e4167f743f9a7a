"""The packages that the guest meets, and the signed repository that it takes them from."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.install.pages import ROOT

KEY = "doorctl guest"
HOST = "10.0.2.2"
"""This machine, as QEMU's guests call it."""

SOURCES = """\
Types: deb
URIs: {url}
Suites: trixie
Components: main
Signed-By: /etc/apt/keyrings/doorctl.pgp
"""

FAULT = (
    "import sys\nif sys.argv[1:2] == ['run']:\n    sys.exit('planted: this version has no door')\n"
)


MADE_OF = ("doorctl", "packaging", "config", "systemd", "requirements.lock", "README.md")


def built_package(
    version: str, cache: Path, commit: str = "HEAD", architecture: str = "amd64"
) -> Path:
    """Return the package of a commit under a version; built if none of the same files is kept."""
    listed = _run("git", "ls-tree", commit, *MADE_OF)
    directory = cache / hashlib.sha256(listed.encode()).hexdigest()[:12]
    package = directory / f"doorctl_{version}_{architecture}.deb"
    if package.exists():
        return package
    directory.mkdir(parents=True, exist_ok=True)
    checkout = directory / f"checkout-{version}"
    shutil.rmtree(checkout, ignore_errors=True)
    _run("git", "clone", "-q", "--no-checkout", ROOT, checkout)
    _run("git", "-C", checkout, "checkout", "-q", _run("git", "rev-parse", commit).strip())
    build = checkout / "packaging/build"
    _run(build, "--quick", "--version", version, "--output", directory, architecture)
    shutil.rmtree(checkout)
    return package


def broken(package: Path) -> Path:
    """Return a package like another one, whose door ends at its start."""
    tree, planted = package.with_suffix(".tree"), package.parent / "broken" / package.name
    planted.parent.mkdir(exist_ok=True)
    shutil.rmtree(tree, ignore_errors=True)
    _run("dpkg-deb", "-R", package, tree)
    (program,) = tree.glob("opt/doorctl/**/bin/doorctl")
    first, _, rest = program.read_text(encoding="utf-8").partition("\n")
    program.write_text(f"{first}\n{FAULT}{rest}", encoding="utf-8")
    _run("dpkg-deb", "--root-owner-group", "-Zxz", "-z0", "--build", tree, planted)
    shutil.rmtree(tree)
    return planted


class Repository:
    """Packages behind a web server, signed.

    `directory`: is made, or stays as the last run left it; `port`: the server's; `host`: whom its
    machine asks for.
    """

    def __init__(self, directory: Path, port: int, host: str = HOST) -> None:
        self._apt, self._keys, self._port = directory / "apt", directory / "keys", port
        self.url = f"http://{host}:{port}/"
        if not self._keys.exists():
            self._keys.mkdir(parents=True, mode=0o700)
            words = ("--quick-generate-key", KEY, "ed25519", "sign")
            self._gpg("gpg", "--batch", "--quiet", "--passphrase", "", *words)

    def sources(self) -> str:
        """Return what a machine's apt has to be told."""
        return SOURCES.format(url=self.url)

    def offer(self, package: Path) -> None:
        """Put a package into it, as whoever publishes does."""
        self._gpg(ROOT / "packaging/repository", self._apt, KEY, package)

    @contextlib.contextmanager
    def shown(self, prefix: Sequence[str] = ()) -> Iterator[None]:
        """Show it by HTTP; `prefix` is what brings a command into the machine's network."""
        public = self._apt / "public"
        public.mkdir(parents=True, exist_ok=True)
        words = ("-m", "http.server", "-b", "127.0.0.1", "-d", str(public), str(self._port))
        command = [*prefix, sys.executable, *words]
        quiet = subprocess.DEVNULL
        with subprocess.Popen(command, stdout=quiet, stderr=quiet) as server:
            try:
                yield
            finally:
                server.kill()

    def _gpg(self, *words: str | Path) -> None:
        _run(*words, GNUPGHOME=str(self._keys))
        _run("gpgconf", "--kill", "all", GNUPGHOME=str(self._keys))


def _run(*words: str | Path, **environment: str) -> str:
    done = subprocess.run(
        list(map(str, words)),
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | environment,
    )
    if done.returncode:
        raise RuntimeError(f"{words[0]}: {done.stdout[-1000:]}{done.stderr[-2000:]}")
    return done.stdout
