"""Each library system on a stage of its own, so that one contract can be held to all of them."""

from __future__ import annotations

import threading
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext
from typing import Any

import pytest

from doorctl.access.messages import LibraryAnswer, LibraryReply, LibrarySystem
from doorctl.access.patron import Patron
from doorctl.config.tables import Lms, LmsWithClasses, read_address
from doorctl.core.errors import LibrarySystemError
from doorctl.core.masked import Identifier, IdentifierKind, Masked, Pin
from doorctl.extras.fbs.client import FbsLibrary
from doorctl.extras.folio.client import FolioLibrary
from doorctl.extras.koha import Koha
from doorctl.extras.koha.client import KohaLibrary
from doorctl.extras.sip2 import Sip2
from doorctl.extras.sip2.client import Sip2Library
from tests.fakes.clock import FakeClock
from tests.fakes.library import FakeLibrarySystem, registered
from tests.fakes.waiting import LIMIT_S
from tests.sources import api_server, fbs_server, sip2_server
from tests.sources.api_server import ApiScript
from tests.sources.fbs_server import ACCOUNT, AGENCY, FbsScript
from tests.sources.folio_server import RESIDENTS, TENANT, FolioScript
from tests.sources.http_server import free_port
from tests.sources.koha_server import KohaScript
from tests.sources.sip2_server import INSTITUTION, Sip2Patron, Sip2Script
from tests.web.certificates import Authority

BRIEF_S = 0.3
"""For answers that don't."""

CARD, PIN = "3000001234", "4711"
BIRTHDAY = date(1970, 1, 1)


def card(number: str) -> Identifier:
    """Return a plastic card."""
    return Identifier(IdentifierKind.CARD, number)


@dataclass
class Stage(ABC):
    """A library system, and how a test makes it behave."""

    system: LibrarySystem
    ended: threading.Event = field(default_factory=threading.Event, kw_only=True)

    lost_card = "O"
    """The block that a lost card is."""

    def close(self) -> None:
        """End what hangs."""
        self.ended.set()

    def secrets(self) -> Iterator[str]:
        """Yield what is never printed or logged."""
        yield from (CARD, PIN, "4712")

    def ask(self, number: str = CARD, pin: str = PIN, *, row_wanted: bool = False) -> LibraryReply:
        """Ask about a card."""
        return self.system.ask(card(number), Pin(pin), row_wanted=row_wanted)

    def answer(self, number: str = CARD, pin: str = PIN) -> LibraryAnswer:
        """Ask about a card; return the answer alone."""
        return self.ask(number, pin).answer

    def fails(self, *, row_wanted: bool = True) -> LibrarySystemError:
        """Ask and return the error; nothing hangs on it that could tell of a patron."""
        with pytest.raises(LibrarySystemError) as caught:
            self.ask(row_wanted=row_wanted)
        assert (caught.value.__cause__, caught.value.__context__) == (None, None)
        told = "".join(traceback.format_exception(caught.value))
        assert not any(secret in told for secret in (CARD, PIN))
        return caught.value

    @abstractmethod
    def know(self, number: str, pin: str, *, resident: bool = True, lost: bool = False) -> None:
        """Register a patron born on `BIRTHDAY`."""

    @abstractmethod
    def hang(self) -> None:
        """Take questions from now on, and answer none until the test is over."""

    @abstractmethod
    def asked(self) -> int:
        """Return how many questions about a PIN arrived there."""


@dataclass
class FakeStage(Stage):
    """The dict."""

    system: FakeLibrarySystem

    def know(self, number: str, pin: str, *, resident: bool = True, lost: bool = False) -> None:
        """Register a patron."""
        blocks = frozenset({"O"} if lost else ())
        self.system.pins[card(number)] = Pin(pin)
        self.system.rows[card(number)] = registered(
            birthday=BIRTHDAY, resident=resident, blocks=blocks
        )

    def hang(self) -> None:
        """Fail as a hanging one does."""
        self.system.failure = LibrarySystemError("it does not answer in time", spent=True)

    def asked(self) -> int:
        """Return how many questions there were."""
        return len(self.system.asked)


@dataclass
class ServerStage(Stage):
    """An adapter and the stand-in that it asks."""

    script: FbsScript | Sip2Script | KohaScript | FolioScript

    def know(self, number: str, pin: str, *, resident: bool = True, lost: bool = False) -> None:
        """Register a patron."""
        self.script.know(number, pin, resident=resident, lost=lost)

    def asked(self) -> int:
        """Count them."""
        return self.script.asked()


@dataclass
class FbsStage(ServerStage):
    """FBS."""

    system: FbsLibrary
    script: FbsScript

    def secrets(self) -> Iterator[str]:
        """Yield those of an account and its sessions too."""
        yield from (*super().secrets(), ACCOUNT["password"], *self.script.sessions)

    def reply(self, **changed: object) -> LibraryReply:
        """Return the yes to the one card, whose person is changed so."""
        self.script.patrons[CARD].row = changed
        return self.ask(row_wanted=True)

    def hang(self) -> None:
        """Hold each question about a PIN."""
        self.script.raw["v9"] = lambda _: self.ended.wait(LIMIT_S)


@dataclass
class Sip2Stage(ServerStage):
    """SIP2."""

    system: Sip2Library
    script: Sip2Script
    port: int

    def reply(self, **changed: Any) -> LibraryReply:
        """Return the yes to the one card, whose patron is so."""
        self.script.patrons[CARD] = Sip2Patron(PIN, **changed)
        return self.ask(row_wanted=True)

    def hang(self) -> None:
        """Hold each question about a PIN."""
        self.script.raw = lambda _: self.ended.wait(LIMIT_S)


@dataclass
class ApiStage(ServerStage):
    """Koha or FOLIO."""

    script: KohaScript | FolioScript

    def secrets(self) -> Iterator[str]:
        """Yield those of an account and its sessions too."""
        yield from (*super().secrets(), api_server.PASSWORD, *self.script.sessions)

    def reply(self, **changed: object) -> LibraryReply:
        """Return the yes to the one card, whose row is changed so."""
        self.script.patrons[CARD].row |= changed
        return self.ask(row_wanted=True)


@dataclass
class KohaStage(ApiStage):
    """Koha."""

    script: KohaScript

    def hang(self) -> None:
        """Hold each question about a PIN."""
        self.script.raw["validation"] = lambda _: self.ended.wait(LIMIT_S)


@dataclass
class FolioStage(ApiStage):
    """FOLIO, which knows no lost cards: staff bar such a user."""

    script: FolioScript

    lost_card = "S"

    def hang(self) -> None:
        """Hold each question about a PIN."""
        self.script.raw["verify"] = lambda _: self.ended.wait(LIMIT_S)


def row_of(reply: LibraryReply) -> Patron:
    """Return the row of a yes."""
    assert reply.answer is LibraryAnswer.YES
    assert reply.patron is not None
    return reply.patron


@contextmanager
def fake_stage(_directory: Path, _timeout_s: float) -> Iterator[FakeStage]:
    """Set up the fake."""
    yield FakeStage(FakeLibrarySystem())


@contextmanager
def fbs_stage(_directory: Path, timeout_s: float) -> Iterator[FbsStage]:
    """Set up FBS."""
    script = FbsScript()
    with (
        fbs_server.serving(script) as url,
        closing(FbsStage(fbs_library(url, timeout_s), script)) as stage,
    ):
        yield stage


@contextmanager
def sip2_stage(
    _directory: Path,
    timeout_s: float,
    context: SSLContext | None = None,
    ca_file: Path | None = None,
) -> Iterator[Sip2Stage]:
    """Set up SIP2 on this machine, with a login; over TLS where there is a context for it."""
    script = Sip2Script()
    with (
        sip2_server.serving(script, context) as port,
        closing(Sip2Stage(sip2_library(port, timeout_s, ca_file=ca_file), script, port)) as stage,
    ):
        yield stage


@contextmanager
def sip2s_stage(directory: Path, timeout_s: float) -> Iterator[Sip2Stage]:
    """Set up SIP2 over TLS, with a login."""
    authority = Authority(directory, "authority")
    context = SSLContext(PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("sip2"))
    with sip2_stage(directory, timeout_s, context, authority.path) as stage:
        yield stage


@contextmanager
def api_stage(
    made: Callable[[str, Path], ApiStage], script: ApiScript[Any], directory: Path | None
) -> Iterator[Any]:
    """Set up Koha or FOLIO; over TLS where there is a directory for its certificate."""
    context, ca_file = None, Path()
    if directory is not None:
        authority = Authority(directory, "authority")
        context, ca_file = SSLContext(PROTOCOL_TLS_SERVER), authority.path
        context.load_cert_chain(*authority.issue("lms"))
    with (
        api_server.serving(script, context) as url,
        closing(made(url, ca_file)) as stage,
    ):
        yield stage


@contextmanager
def koha_stage(
    directory: Path, timeout_s: float, *, is_safe: bool = True, **changed: Any
) -> Iterator[KohaStage]:
    """Set up Koha over TLS, with client credentials."""
    script = KohaScript()

    def made(url: str, ca_file: Path) -> KohaStage:
        return KohaStage(koha_library(url, timeout_s, ca_file=ca_file, **changed), script)

    with api_stage(made, script, directory if is_safe else None) as stage:
        yield stage


@contextmanager
def folio_stage(directory: Path, timeout_s: float, *, is_safe: bool = True) -> Iterator[FolioStage]:
    """Set up FOLIO over TLS."""
    script = FolioScript()

    def made(url: str, ca_file: Path) -> FolioStage:
        return FolioStage(folio_library(url, timeout_s, ca_file=ca_file), script)

    with api_stage(made, script, directory if is_safe else None) as stage:
        yield stage


Set = Callable[[Path, float], Any]
STAGES: dict[str, Set] = {
    "fake": fake_stage,
    "fbs": fbs_stage,
    "sip2": sip2_stage,
    "sip2s": sip2s_stage,
    "koha": koha_stage,
    "folio": folio_stage,
}


def koha_library(url: str, timeout_s: float = LIMIT_S, **changed: Any) -> KohaLibrary:
    """Return the adapter for the stand-in's account."""
    settings = {"resident_classes": ("VOKSEN",), "timeout_s": timeout_s, **changed}
    return KohaLibrary(
        Koha(kind="koha", url=url, user=api_server.USER, **settings), Masked(api_server.PASSWORD)
    )


def folio_library(url: str, timeout_s: float = LIMIT_S, **changed: Any) -> FolioLibrary:
    """Return the adapter for the stand-in's account."""
    settings = {"resident_classes": (RESIDENTS,), "timeout_s": timeout_s, **changed}
    lms = LmsWithClasses(kind="folio", url=url, agency=TENANT, user=api_server.USER, **settings)
    return FolioLibrary(lms, Masked(api_server.PASSWORD))


def fbs_library(url: str, timeout_s: float = LIMIT_S) -> FbsLibrary:
    """Return the adapter for the stand-in's account."""
    user, password = ACCOUNT.values()
    lms = Lms(kind="fbs", url=url, agency=AGENCY, user=user, timeout_s=timeout_s)
    return FbsLibrary(lms, Masked(password))


SIP2 = Sip2(kind="sip2", agency=INSTITUTION, user=sip2_server.USER, resident_classes=("VOKSEN",))


def sip2_library(
    port: int,
    timeout_s: float = LIMIT_S,
    *,
    password: str = sip2_server.PASSWORD,
    terminal_password: str = "",
    ca_file: Path | None = None,
    **changed: Any,
) -> Sip2Library:
    """Return the adapter for the stand-in's account; over TLS where `ca_file` is given."""
    url = f"{'sip2s' if ca_file else 'sip2'}://127.0.0.1:{port}"
    settings = {"url": url, "ca_file": ca_file or Path(), "timeout_s": timeout_s, **changed}
    return Sip2Library(
        replace(SIP2, **settings), FakeClock(), Masked(password), Masked(terminal_password)
    )


def nobody_listens() -> str:
    """Return an address on loopback that refuses connections."""
    url = f"http://127.0.0.1:{free_port()}/rest"
    assert read_address(url) is not None
    return url
