"""Each client of another machine, asked once: what the contracts of all of them are held to."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from datetime import date
from functools import partial
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryFile
from typing import Literal

import pytest

from doorctl.admin.backup import send_backup
from doorctl.config.tables import AlarmEmail, Backup, Lms
from doorctl.core.asking import trusting
from doorctl.core.errors import DoorctlError
from doorctl.core.masked import Masked, Pin
from doorctl.extras.fbs.client import FbsLibrary
from doorctl.extras.fetching import Fetch, Http
from doorctl.extras.fetching.http import HttpExport
from doorctl.extras.fetching.place import Aside, Wanted
from doorctl.extras.fleet.bodies import Bodies
from doorctl.extras.fleet.branch import NatsBranch
from doorctl.extras.fleet.connection import Link, SharedConnection
from doorctl.extras.oidc import Oidc
from doorctl.extras.oidc.provider import OidcProvider
from doorctl.extras.website.website import HoursRequest, Website
from doorctl.notices.mail import MailSink
from doorctl.notices.webhook import DeadMansSwitch, WebhookSink
from doorctl.sources.branches import HttpBranch, tls_context
from doorctl.sync.branch import Away
from doorctl.sync.signing import SigningKey
from tests.fakes.clock import FakeClock
from tests.notices.samples import a_notice
from tests.sources.stages import card, folio_library, koha_library, sip2_library

CARD, PIN, SECRET = "3000001234", "4711", "a-shared-Secret~1"

LONG = b"x" * 8_000_000
"""More than a connection holds that is not read."""


def why(ask: Callable[[], object]) -> str:
    """Return why nothing came of a question, which told nobody a PIN."""
    with pytest.raises(DoorctlError) as caught:
        ask()
    assert not getattr(caught.value, "spent", False)
    return str(caught.value)


def address(port: int, authority: Path | None) -> tuple[str, ssl.SSLContext]:
    """Return what listens there, by TLS where there is an authority, and whom to believe."""
    scheme = "http" if authority is None else "https"
    return f"{scheme}://127.0.0.1:{port}", trusting(authority or Path())


def fbs(port: int, authority: Path | None, limit_s: float) -> str:
    """Ask about a card."""
    url, ca_file = address(port, authority)[0], authority or Path()
    lms = Lms(kind="fbs", url=url, user="doorctl", ca_file=ca_file, timeout_s=limit_s)
    library = FbsLibrary(lms, Masked(SECRET))
    return why(partial(library.ask, card(CARD), Pin(PIN), row_wanted=True))


def sip2(port: int, authority: Path | None, limit_s: float) -> str:
    """Ask about a card, after a login."""
    library = sip2_library(port, limit_s, ca_file=authority)
    return why(partial(library.ask, card(CARD), Pin(PIN), row_wanted=True))


def koha(port: int, authority: Path | None, limit_s: float) -> str:
    """Ask about a card, after client credentials."""
    url, ca_file = address(port, authority)[0], authority or Path()
    library = koha_library(url, limit_s, ca_file=ca_file)
    return why(partial(library.ask, card(CARD), Pin(PIN), row_wanted=True))


def folio(port: int, authority: Path | None, limit_s: float) -> str:
    """Ask about a card, after a login."""
    url, ca_file = address(port, authority)[0], authority or Path()
    library = folio_library(url, limit_s, ca_file=ca_file)
    return why(partial(library.ask, card(CARD), Pin(PIN), row_wanted=True))


def oidc(port: int, authority: Path | None, limit_s: float) -> str:
    """Begin a sign-in."""
    url, context = address(port, authority)
    provider = OidcProvider(
        Oidc(issuer=url), Masked(SECRET), context, FakeClock().moment, limit_s=limit_s
    )
    return why(provider.begin)


def website(port: int, authority: Path | None, limit_s: float) -> str:
    """Ask for a day's hours."""
    url, context = address(port, authority)
    request = HoursRequest("12", date(2026, 3, 2), date(2026, 3, 2))
    return why(partial(Website(url, limit_s=limit_s, context=context).opening_hours, request))


def a_branch(port: int, authority: Path | None, limit_s: float) -> HttpBranch:
    """Return a sender's view of a branch."""
    url, context = address(port, None)[0], tls_context(authority or Path(), Path(), Path())
    url = url if authority is None else url.replace("http:", "https:")
    return HttpBranch("oest", url, context, apply_s=limit_s, ask_total_s=limit_s)


def branch(port: int, authority: Path | None, limit_s: float) -> str:
    """Ask which push a branch holds."""
    answer = a_branch(port, authority, limit_s).held()
    assert isinstance(answer, Away)
    return answer.why


def push(port: int, authority: Path | None, limit_s: float) -> str:
    """Send a branch a push."""
    answer = a_branch(port, authority, limit_s).send(BytesIO(b"x"), "changes")
    assert isinstance(answer, Away)
    return answer.why


def nats(port: int, authority: Path | None, limit_s: float) -> str:
    """Ask which push a branch holds, over NATS by the extra fleet."""
    scheme, context = ("nats", None) if authority is None else ("tls", trusting(authority))
    link, key = Link((f"{scheme}://127.0.0.1:{port}",), context), SigningKey().verify_key()
    shared = SharedConnection(link)
    answer = NatsBranch("oest", shared, key, Bodies(), ask_total_s=limit_s).held()
    shared.close()
    assert isinstance(answer, Away)
    return answer.why


def webhook(port: int, authority: Path | None, limit_s: float) -> str:
    """Post an alarm."""
    url, context = address(port, authority)
    return why(partial(WebhookSink(url, Masked(SECRET), context, total_s=limit_s).send, a_notice()))


def heartbeat(port: int, authority: Path | None, limit_s: float) -> str:
    """Say that all is well."""
    return why(DeadMansSwitch(*address(port, authority), total_s=limit_s).beat)


def webdav(port: int, authority: Path | None, limit_s: float) -> str:
    """Send a backup over HTTP."""
    url = address(port, authority)[0]
    wanted = Backup(destination=f"{url}/oest/", ca_file=authority or Path())
    return why(partial(send_backup, wanted, "a-backup.age", LONG, limit_s))


def sftp(port: int, authority: Path | None, limit_s: float) -> str:
    """Send a backup over SSH, which has no authorities."""
    assert authority is None
    wanted = Backup(destination=f"sftp://doorctl@127.0.0.1:{port}/oest/")
    return why(partial(send_backup, wanted, "a-backup.age", LONG, limit_s))


def export(port: int, authority: Path | None, limit_s: float) -> str:
    """Fetch the sender's export over HTTP."""
    http = Http(url=address(port, authority)[0], ca_file=authority or Path())
    asking = HttpExport(Wanted(Fetch(limit_min=limit_s / 60, http=http), "csv", ""))
    with TemporaryFile() as file:
        return why(partial(asking.into, Aside(Path("export.csv"), file.fileno(), 1)))


def mail(
    port: int,
    authority: Path | None,
    limit_s: float,
    security: Literal["tls", "starttls"] = "tls",
) -> str:
    """Send an alarm by mail."""
    email = AlarmEmail(
        host="127.0.0.1",
        port=port,
        security="none" if authority is None else security,
        sender="a@r.example",
        to=("b@r.example",),
    )
    sink = MailSink(email, trusting(authority or Path()), total_s=limit_s)
    return why(partial(sink.send, a_notice()))


Ask = Callable[[int, Path | None, float], str]
"""Ask what listens on a port, by TLS if there is an authority, within a limit; return why not."""

OVER_HTTP: tuple[Ask, ...] = (
    *(fbs, koha, folio),
    *(oidc, website, branch, push, webhook, heartbeat, webdav, export),
)
CLIENTS: tuple[Ask, ...] = (*OVER_HTTP, sip2, mail, nats)
"""Those that speak to the other machine themselves; `sftp` leaves that to OpenSSH."""

WITHOUT_BODY: frozenset[Ask] = frozenset({webhook, heartbeat, webdav})
"""They need only the head of an answer."""


def name_of(ask: Ask) -> str:
    """Return a client's name, for the list of tests."""
    return ask.__name__
