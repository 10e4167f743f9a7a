"""Branches in memory that follow the rules of a push, written down once more."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import Any, ParamSpec, TypeVar

from doorctl.sync.branch import Away, Content, Held, OutOfOrder, Refused, Taken
from doorctl.sync.document import Kind
from doorctl.sync.exchange import Exchanged
from doorctl.sync.packing import Document as Packed

ArgumentsT = ParamSpec("ArgumentsT")
ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class Document:
    """A push as it arrived: its manifest, its rows and who is removed."""

    manifest: dict[str, Any]
    rows: tuple[dict[str, Any], ...]
    removed: frozenset[str]

    @property
    def patrons(self) -> set[str]:
        """Everyone whom it tells of."""
        return {row["ref"] for row in self.rows} | self.removed


@dataclass
class FakeBranch:
    """A `Branch` over a dict; what it is told to do wrong it does until told otherwise.

    Args:
        name: its id.
        away: it can't be reached.
        deaf: no message to it arrives.
        wrong_pins: what it says of its patrons' wrong PINs.
        elsewhere: what it was told of them at other branches; None for never.
        mute: it does as it is told, but its answer is lost.
        refuses: why it takes nothing.
        log: where its audit log ended after each entry.
        key_id: of the key that its door seals with.
        keeps: pushes can be left for it.
        left: those that lie for it.
    """

    name: str
    away: bool = False
    mute: bool = False
    refuses: str = ""
    log: list[str] = field(default_factory=list)
    key_id: str = "0badcafe"
    messages: list[dict[str, Any]] = field(default_factory=list)
    deaf: bool = False
    wrong_pins: dict[str, int] | None = None
    elsewhere: dict[str, int] | None = None
    epoch: int = 0
    digest: str = ""
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    arrived: list[Document] = field(default_factory=list)
    asked: int = 0
    keeps: bool = False
    left: list[Document] = field(default_factory=list)

    def held(self) -> Held | Refused | Away:
        """Say what it holds."""
        self.asked += 1
        if self.away:
            return Away("away")
        end = self.log[-1] if self.log else None
        return Held(self.epoch, self.digest, f"nonce {self.asked}", self.key_id, 0, end)

    def exchange(self, message: bytes) -> Exchanged | OutOfOrder | Refused | Away:
        """Say up to which of the heads that it is told its log is the same."""
        told = json.loads(message.partition(b"\n")[2])
        assert (told["branch"], told["nonce"]) == (self.name, f"nonce {self.asked}")
        if self.deaf:
            return Away("deaf")
        self.messages.append(told)
        if told["wrong_pins"] is not None:
            self.elsewhere = told["wrong_pins"]
        there = [head for head in told["heads"].values() if head in self.log]
        agreed = max([int(head.partition(":")[0]) for head in there], default=0)
        return Exchanged(agreed, None if told["wrong_pins"] is None else self.wrong_pins)

    def send(self, content: Content, kind: Kind | None) -> Taken | OutOfOrder | Refused | Away:
        """Apply a document, whole or not at all."""
        if self.away:
            return Away("away")
        document = _opened(content)
        assert document.manifest["branch"] == self.name
        assert kind in {None, document.manifest["kind"]}
        self.arrived.append(document)
        if self.refuses:
            return Refused(self.refuses)
        if kind is None:
            return Taken(document.manifest["epoch"])
        answer = self._apply(document)
        return Away("lost") if self.mute else answer

    def leave(self, documents: Sequence[Packed]) -> bool:
        """Leave pushes in place of those before."""
        self.left = [_opened(document) for document in documents]
        return True

    def take_left(self) -> int:
        """Apply what was left, as far as it follows on what is held; return how many pushes."""
        taken = 0
        for document in sorted(self.left, key=lambda each: int(each.manifest["epoch"])):
            if document.manifest["epoch"] > self.epoch:
                taken += isinstance(self._apply(document), Taken)
        return taken

    def patrons(self) -> dict[str, list[dict[str, Any]]]:
        """Return who is held, with the rows of each."""
        found: dict[str, list[dict[str, Any]]] = {}
        for row in sorted(self.rows.values(), key=lambda row: str(row["key"])):
            found.setdefault(row["ref"], []).append(row)
        return found

    def _apply(self, document: Document) -> Taken | OutOfOrder:
        manifest = document.manifest
        epoch, digest = manifest["epoch"], manifest["sha256"]
        if (epoch, digest) == (self.epoch, self.digest):
            return Taken(epoch)
        snapshot = manifest["kind"] == "snapshot"
        if epoch <= self.epoch or not (snapshot or manifest["previous_epoch"] == self.epoch):
            return OutOfOrder("out of order")
        kept = {} if snapshot else self._without(document.patrons)
        new = {row["key"]: row for row in document.rows}
        assert len(new) == len(document.rows)
        assert not kept.keys() & new.keys()
        self.rows, self.epoch, self.digest = kept | new, epoch, digest
        return Taken(epoch)

    def _without(self, refs: set[str]) -> dict[str, dict[str, Any]]:
        return {key: row for key, row in self.rows.items() if row["ref"] not in refs}


class AtOnce(Executor):
    """A pool that does everything on the caller's thread, in order."""

    def submit(
        self,
        fn: Callable[ArgumentsT, ResultT],
        /,
        *args: ArgumentsT.args,
        **kwargs: ArgumentsT.kwargs,
    ) -> Future[ResultT]:
        """Do it now."""
        future: Future[ResultT] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def _opened(content: Content) -> Document:
    content.seek(0)
    first, _, rest = gzip.decompress(content.read()).partition(b"\n")
    manifest = json.loads(first)
    lines = [json.loads(line) for line in rest.splitlines()]
    assert hashlib.sha256(rest).hexdigest() == manifest["sha256"]
    assert len(lines) == manifest["count"]
    rows = tuple(line for line in lines if "remove" not in line)
    removed = frozenset(line["remove"] for line in lines if "remove" in line)
    assert not (removed and manifest["kind"] == "snapshot")
    return Document(manifest, rows, removed)
