"""Two machines that are paired, and a stick between them."""

from __future__ import annotations

import base64
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from doorctl.admin import pairing
from doorctl.config import Config, load
from doorctl.core.errors import InputError
from doorctl.privacy.audit import KEY, Action
from doorctl.store.keys import create_key, read_key
from doorctl.store.records import AuditRecords
from doorctl.store.sealer import key_id
from doorctl.store.signing_keys import PUBLIC, create_signing_key, read
from tests.fakes.strikes import OVER, struck
from tests.web.certificates import Authority

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


BRANCH = """
[branch]
name = "Øst"
id = "oest"
[storage]
directory = "data"
[secrets]
installation_key_file = "installation.key"
[seal]
memory_kib = 8
iterations = 1
[reader]
port = "/dev/null"
[gpio]
factory = "mock"
[web.tls]
certificate_file = "branch.pem"
key_file = "branch.key"
[web.push]
# Nobody yet.
public_key_files = []
removed_floor = 2
[door]
release_s = 4.0
"""


SERVER = """
[branch]
name = "Randers"
id = "sender"
[secrets]
installation_key_file = "state/installation.key"
[seal]
memory_kib = 8
iterations = 1
[sync]
feed = "exports"
signing_key_file = "state/signing.key"
state_directory = "state"
"""


@dataclass
class Pair:
    """Two machines and a stick between them, each a directory."""

    base: Path
    code: str = ""

    @property
    def branch(self) -> Config:
        """The branch's configuration, as it stands now."""
        return load(self.base / "branch" / "doorctl.toml")

    @property
    def server(self) -> Config:
        """The sender's configuration, as it stands now."""
        return load(self.base / "server" / "sync.toml")

    @property
    def request(self) -> Path:
        """What the branch has written."""
        return self.base / "stick" / "request"

    @property
    def answer_file(self) -> Path:
        """What the server has written."""
        return self.base / "stick" / "answer"

    def begin(self, now: datetime = NOW) -> None:
        """Do the branch's first part."""
        self.code = pairing.begin(self.branch, self.request, now)

    def answer(self, code: str | None = None, now: datetime = NOW) -> pairing.Request:
        """Do the server's part."""
        key = read_key(self.server.secrets.installation_key_file)
        typed = self.code if code is None else code
        return pairing.answer(
            self.server, self.request, typed, key=key, out=self.answer_file, now=now
        )

    def finish(self, now: datetime = NOW, *, replaces: bool = False) -> bool:
        """Do the branch's last part."""
        return pairing.finish(self.branch, self.answer_file, now, replaces=replaces)

    def is_paired(self) -> tuple[bool, bool]:
        """Tell whether the server knows the branch, and whether the branch takes its pushes."""
        sync, push = self.server.sync, self.branch.web.push
        assert sync is not None
        signing = read(PUBLIC, sync.signing_key_file.with_suffix(".pub"))
        taken = [read(PUBLIC, path) for path in push.public_key_files] == [signing]
        keys = (config.secrets.installation_key_file for config in (self.branch, self.server))
        return (
            [target.branch for target in sync.targets] == ["oest"],
            taken and len({path.read_bytes() for path in keys}) == 1,
        )

    def says_which_key(self) -> bool:
        """Tell whether the branch's audit log says which key it has been given."""
        key = key_id(read_key(self.branch.secrets.installation_key_file))
        with closing(AuditRecords(self.branch.storage.branch_db)) as records:
            deeds = [entry.deed for entry in records.entries()]
        said = {deed.details[KEY] for deed in deeds if deed.action is Action.KEY_ADOPTED}
        return said == {key}

    def content(self, *machines: str) -> dict[Path, bytes]:
        """Return the files of some machines, but for what counts tries."""
        return {
            path: path.read_bytes()
            for machine in machines
            for path in (self.base / machine).rglob("*")
            if path.is_file() and path.name != "pairings.json"
        }


def laid_out(base: Path) -> Pair:
    """Return two machines that know nothing of each other; the server has its keys."""
    for name in ("branch", "server", "stick", "server/state"):
        (base / name).mkdir()
    (base / "branch" / "doorctl.toml").write_text(BRANCH, encoding="utf-8")
    (base / "server" / "sync.toml").write_text(SERVER, encoding="utf-8")
    Authority(base / "branch", "authority").issue("branch")
    state = base / "server" / "state"
    create_key(state / "installation.key")
    create_signing_key(state / "signing.key", state / "signing.pub")
    return Pair(base)


def stopped_at(number: int, part: Callable[[], object]) -> bool:
    """Run a part that is killed before it changes a file for that time; tell if it was."""
    said = struck(part, number)
    assert said in {"", OVER}
    return not said


def refusal(part: Callable[[], object]) -> str:
    """Do a part; return why it was refused, "" where it was not."""
    try:
        part()
    except InputError as err:
        return str(err)
    return ""


def encoded(content: bytes) -> str:
    """Return bytes as a request has them."""
    return base64.b64encode(content).decode()
