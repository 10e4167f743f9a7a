"""A sender of pushes that costs its machine next to nothing: rows are written once, sent often."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import msgspec

from doorctl.access.patron import SealedRow
from doorctl.sync.document import Kind, Manifest, sign, write_document, written
from tests.benchmark.register import MINIMUM_AGE
from tests.web.branch import CHANGES, SNAPSHOT, Branch

LIMIT_S = 600.0
"""Longest wait for the answer to a push."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a push on the disk.

    `path`: the document, whose first line is written anew each time; `offset`: where its rows
    begin.
    """

    path: Path
    manifest: Manifest
    offset: int


class Sender:
    """Sends pushes to a running web process; one thread."""

    def __init__(self, branch: Branch) -> None:
        self._branch = branch
        self._epoch = int(branch.held()["epoch"])

    def rows(self, name: str, kind: Kind, lines: Iterable[SealedRow]) -> Rows:
        """Write rows beside the branch's directory; memory stays flat."""
        path = self._branch.directory.with_name(f"{self._branch.directory.name}-{name}")
        with path.open("wb") as file:
            manifest = write_document(
                file,
                lines,
                branch="demo",
                kind=kind,
                epoch=1,
                previous_epoch=0,
                seal=self._branch.seal,
                minimum_age=MINIMUM_AGE,
                approved_by="benchmark",
                private_key=self._branch.key,
                compress=False,
            )
        with path.open("rb") as file:
            return Rows(path, manifest, len(file.readline()))

    def push(self, rows: Rows) -> str:
        """Send them as the next push; return what was wrong with it, or nothing."""
        head = self._head(rows)
        address = SNAPSHOT if rows.manifest.kind == "snapshot" else CHANGES
        length = len(head) + rows.path.stat().st_size - rows.offset
        connection = http.client.HTTPConnection("127.0.0.1", self._branch.port, LIMIT_S)
        with closing(connection), rows.path.open("rb") as file:
            file.seek(rows.offset)
            connection.putrequest("PUT" if address == SNAPSHOT else "POST", address)
            connection.putheader("Content-Length", str(length))
            connection.endheaders(head)
            connection.send(file)
            answer = connection.getresponse()
            said = answer.read()
        if answer.status != http.client.OK:
            return said.decode(errors="replace")
        self._epoch = int(json.loads(said)["epoch"])
        return ""

    def _head(self, rows: Rows) -> bytes:
        numbered = msgspec.structs.replace(
            rows.manifest, epoch=self._epoch + 1, previous_epoch=self._epoch
        )
        return written(sign(numbered, self._branch.key))
