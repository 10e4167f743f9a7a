"""The ways from a sender to a branch, each as a library has it: HTTPS, and a NATS server of theirs.

Over NATS (the extra fleet) each has a certificate, the server's configuration is what `doorctl
nats-config` writes, and the branch has no address.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

from doorctl.extras.fleet.server import Clients, configuration
from tests.e2e.sender import Sender
from tests.extras.fleet.nats_server import NatsServer
from tests.web.branch import Branch
from tests.web.certificates import Authority
from tests.web.nats_fed import answers_key


class Way(Protocol):
    """Makes a branch and a sender that reaches it; nothing is started."""

    def branch(self, directory: Path, *overrides: str) -> Branch:
        """Return a branch whose web process is to be started."""

    def sender(self, directory: Path, branch: Branch) -> Sender:
        """Return a sender that has the branch's keys, and it as its only target."""


class ByHttps:
    """With certificates on both sides."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority

    def branch(self, directory: Path, *overrides: str) -> Branch:
        """See `Way.branch`."""
        return Branch(directory, *self._authority.settings(), *overrides)

    def sender(self, directory: Path, branch: Branch) -> Sender:
        """See `Way.sender`."""
        return Sender.of(directory, branch, self._authority)


class Listening(Branch):
    """A branch that has started once it listens at its server."""

    def __init__(self, directory: Path, server: NatsServer, *overrides: str) -> None:
        self.server = server
        super().__init__(directory, *overrides)

    def start(self) -> None:
        """Start the web process and wait until it listens."""
        super().start()
        self.wait_for("nats", state="connected")


class ByNats:
    """With certificates on all three sides, and a server for each branch: all have one name."""

    def __init__(self, authority: Authority, stack: ExitStack) -> None:
        self._authority, self._stack = authority, stack

    def branch(self, directory: Path, *overrides: str) -> Listening:
        """See `Way.branch`."""
        server = secured(directory, self._authority, "demo")
        server.start()
        self._stack.callback(server.end)
        own = [f"web.nats.{leaf}={value}" for leaf, value in self._keys("demo", server).items()]
        key = f"web.nats.signing_key_file={answers_key(directory)}"
        return Listening(directory, server, *own, key, *overrides)

    def sender(self, directory: Path, branch: Branch) -> Sender:
        """See `Way.sender`."""
        assert isinstance(branch, Listening)
        key = branch.directory / "push.key"
        sender = Sender(directory, branch.config.secrets.installation_key_file, key)
        keys = self._keys("sender", branch.server)
        sender.add("".join(["[sync.nats]\n", *(f"{leaf} = {keys[leaf]}\n" for leaf in keys)]))
        public = branch.directory / "answers.pub"
        sender.target({"branch": "demo", "via": "nats", "public_key_file": public})
        return sender

    def _keys(self, name: str, server: NatsServer) -> dict[str, str]:
        """Return the keys of [web.nats] or [sync.nats] for whoever has this name."""
        certificate, key = self._authority.issue(name)
        files = {"ca_file": self._authority.path, "certificate_file": certificate, "key_file": key}
        return {leaf: f'"{path}"' for leaf, path in files.items()} | {
            "servers": f'["tls://127.0.0.1:{server.port}"]'
        }


def secured(directory: Path, authority: Authority, *branches: str, hub: str = "hub") -> NatsServer:
    """Return a server, not yet started, that knows the sender, these branches and a hub."""
    certificate, key = authority.issue("server")
    shutil.copy(certificate, directory / "nats.pem")
    shutil.copy(key, directory / "nats.key")
    shutil.copy(authority.path, directory / "nats-ca.pem")
    return NatsServer(
        directory,
        configuration(
            Clients("sender", branches, [hub]),
            "127.0.0.1:{port}",
            str(directory),
            str(directory / "store"),
        ),
    )


@contextmanager
def way(name: str, authority: Authority) -> Iterator[Way]:
    """Give a way until the end of the block."""
    with ExitStack() as stack:
        yield ByHttps(authority) if name == "https" else ByNats(authority, stack)
