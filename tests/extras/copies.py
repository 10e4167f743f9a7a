"""Copies of the package, from which extras are taken and to which others are added."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

LIMIT_S = 600.0

ASKING = {
    "usb": """
kind = "usb"
""",
    "osdp": """
kind = "osdp"
osdp_key_file = "secret"
""",
    "fbs": """
[lms]
kind = "fbs"
url = "https://127.0.0.1:1/rest"
agency = "DK-773000"
user = "doorctl"
password_file = "secret"
""",
    "sip2": """
[lms]
kind = "sip2"
url = "sip2://127.0.0.1:1"
""",
    "koha": """
[lms]
kind = "koha"
url = "https://127.0.0.1:1"
user = "doorctl"
password_file = "secret"
authentication = "basic"
""",
    "folio": """
[lms]
kind = "folio"
url = "https://127.0.0.1:1"
agency = "randers"
user = "doorctl"
password_file = "secret"
""",
    "website": """
[hours]
source = "website"
website_url = "http://localhost:1"
website_branch = "12"
""",
    "holidays": """
[hours]
holidays = "closed"
""",
    "outputs": """
[[outputs]]
name = "light"
pin = 12
modes = ["staffed"]
[[outputs]]
name = "pcs"
command = ["/bin/true"]
modes = ["staffed"]
""",
    "metrics": """
[metrics]
token_file = "secret"
""",
    "oidc": """
[signin.oidc]
issuer = "http://127.0.0.1:1"
client_id = "doorctl"
client_secret_file = "secret"
redirect_url = "https://door.example/sign-in/municipality/back"
roles = ["staff=staff"]
""",
    "mapping": """
[source.map]
pincode = "pin"
identifiers.card = "card"
""",
    "fetching": """
[source.fetch]
limit_min = 30
""",
    "fleet": """
[web.nats]
servers = ["nats://127.0.0.1:1"]
""",
}
"""Extra -> lines of a configuration that ask for it; those of a reader's kind come first."""

BRANCH = """
[branch]
name = "Randers Bibliotek, Øst"
id = "oest"
[controller]
name = "Randers Kommune"
address = "Laksetorvet 1, 8900 Randers C"
mail = "bibliotek@randers.example"
phone = "12 34 56 78"
[storage]
directory = "data"
[secrets]
installation_key_file = "data/installation.key"
[seal]
memory_kib = 8
[gpio]
factory = "mock"
[web]
port = {port}
[reader]
port = "/dev/null/reader"
"""


@dataclass(frozen=True)
class Copy:
    """A copy of the package in a directory; nothing of the checkout is used by what it runs."""

    directory: Path

    @classmethod
    def of(cls, directory: Path) -> Copy:
        """Copy the package, its examples and its tests."""
        left_out = shutil.ignore_patterns("handbook", ".hypothesis")
        for name in ("doorctl", "config", "tests"):
            shutil.copytree(ROOT / name, directory / name, ignore=left_out)
        shutil.copy(ROOT / "pyproject.toml", directory)
        shutil.copytree(ROOT / "doorctl/handbook", directory / "doorctl/handbook")
        (directory / "data").mkdir()
        (directory / "secret").write_text("a-shared-Secret~1\n")
        (directory / "secret").chmod(0o600)
        return cls(directory)

    @property
    def environment(self) -> dict[str, str]:
        """Return that of its processes; what they cover of the copy tells nothing of ours."""
        uncovered = {name: value for name, value in os.environ.items() if "COV" not in name}
        return {**uncovered, "PYTHONPATH": str(self.directory)}

    @property
    def file(self) -> Path:
        """The configuration."""
        return self.directory / "doorctl.toml"

    def configure(self, lines: str, port: int = 8080) -> None:
        """Write a configuration with these lines at its end."""
        self.file.write_text(BRANCH.format(port=port) + lines, encoding="utf-8")

    def delete(self, extra: str) -> None:
        """Delete an extra's folder."""
        shutil.rmtree(self.directory / "doorctl/extras" / extra)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command of doorctl on the configuration."""
        return self._python("-m", "doorctl", *words, DOORCTL_CONFIG=str(self.file))

    def test(self, *paths: str) -> subprocess.CompletedProcess[str]:
        """Run tests, but for files that name an extra which is not there."""
        gone = {path.name for path in (ROOT / "doorctl/extras").glob("*/")}
        gone -= {path.name for path in (self.directory / "doorctl/extras").glob("*/")}
        name = rf"(?:{'|'.join(sorted(gone))})"
        named = re.compile(rf'extras[./]{name}\b|"{name}"')
        files = [
            str(file)
            for path in map(self.directory.joinpath, paths)
            for file in (path.rglob("test_*.py") if path.is_dir() else [path])
            if not named.search(file.read_text("utf-8"))
        ]
        return self._python("-m", "pytest", "-q", "-p", "no:cacheprovider", *files)

    def _python(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *words],
            cwd=self.directory,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
