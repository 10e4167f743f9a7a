"""A real sshd on loopback that takes one key, for what is fetched over SFTP."""

from __future__ import annotations

import getpass
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import which

import pytest

from tests.fakes.waiting import LIMIT_S, until
from tests.sources.http_server import free_port

PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"


@dataclass(frozen=True)
class SshServer:
    """Where it listens, and a directory with ``client.key`` and ``known_hosts``."""

    directory: Path
    port: int

    @property
    def user(self) -> str:
        """Who signs in: whoever runs the test."""
        return getpass.getuser()


def keygen(path: Path) -> str:
    """Make a key pair; return the public one."""
    words = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path))
    subprocess.run(words, check=True, timeout=LIMIT_S)
    return path.with_name(f"{path.name}.pub").read_text("utf-8").strip()


@contextmanager
def ssh_server(directory: Path) -> Iterator[SshServer]:
    """Run it for the length of a block; the test is skipped where there is no sshd."""
    sshd = which("sshd", path=PATH)
    if sshd is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("this machine has no sshd")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    port = free_port()
    host = keygen(directory / "host")
    (directory / "known_hosts").write_text(f"[127.0.0.1]:{port} {host}\n")
    (directory / "allowed").write_text(keygen(directory / "client.key") + "\n")
    (directory / "sshd.conf").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {directory}/host\n"
        f"AuthorizedKeysFile {directory}/allowed\nStrictModes no\nPidFile none\n"
        "PasswordAuthentication no\nPermitRootLogin prohibit-password\n"
        "Subsystem sftp internal-sftp\n"
    )
    words = [sshd, "-D", "-e", "-f", str(directory / "sshd.conf")]
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as process:
        try:
            until(lambda: _listens(port))
            yield SshServer(directory, port)
        finally:
            process.terminate()


def _listens(port: int) -> bool:
    with suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    return False
