"""TLS with certificates on both sides, between real processes; renewed while web serves."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from doorctl.config.tables import Tls
from doorctl.store.key_age import days_of
from doorctl.web.watching import CertificateWatch
from tests.fakes.clock import FakeClock
from tests.fakes.event_log import FakeEventLog
from tests.web.branch import Branch, answer_of, rows
from tests.web.certificates import Authority


@pytest.fixture(scope="module")
def branch(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Branch]:
    """A branch that speaks TLS, with those who have a certificate."""
    branch = Branch(tmp_path_factory.mktemp("tls"), *authority.settings())
    branch.scheme = "https"
    branch.start()
    yield branch
    branch.end()


def test_a_sender_with_a_certificate_is_heard(branch: Branch, authority: Authority) -> None:
    """A push and a question work as without TLS."""
    branch.tls = authority.client(authority.issue("sender"))

    assert branch.push(branch.document(rows(60), 1)).status_code == 200
    assert branch.held()["epoch"] == 1


def test_a_sender_without_a_certificate_is_not_heard(branch: Branch, authority: Authority) -> None:
    """It is told what it lacks before its push is read; a browser gets its page without one."""
    branch.tls = authority.client()

    answer = branch.push(branch.document(rows(60), 2))

    assert (answer.status_code, answer.json()) == (401, {"error": "uncertified"})
    assert branch.ask("GET", "/static/doorctl.css").status_code == 200


def test_a_certificate_of_somebody_else_is_none(
    branch: Branch, authority: Authority, tmp_path: Path
) -> None:
    """Only web.tls.client_ca_file vouches for senders."""
    stranger = Authority(tmp_path, "stranger")
    branch.tls = authority.client(stranger.issue("sender"))

    with pytest.raises(httpx2.TransportError):
        branch.held()


def test_plain_http_is_not_spoken(branch: Branch) -> None:
    """What is sent without TLS is not answered."""
    connection = socket.create_connection(("127.0.0.1", branch.port), 10)
    connection.sendall(b"GET /v1/patrons/epoch HTTP/1.1\r\nHost: x\r\n\r\n")

    assert b"200" not in answer_of(connection)


def test_tls_1_1_is_not_spoken(branch: Branch, authority: Authority) -> None:
    """What has been deprecated since RFC 8996 is refused."""
    old = authority.client(authority.issue("sender"))
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        old.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1

    with (
        closing(socket.create_connection(("127.0.0.1", branch.port), 10)) as connection,
        pytest.raises((ssl.SSLError, ConnectionResetError)),
    ):
        old.wrap_socket(connection, server_hostname="127.0.0.1")


def test_a_suite_that_is_not_recommended_is_not_spoken(
    branch: Branch, authority: Authority
) -> None:
    """Of TLS 1.2 those are left that every browser of today prefers: ECDHE, and GCM or ChaCha20."""
    for suites, taken in (("ECDHE+AESGCM", True), ("ECDHE+AES:!AESGCM:!AESCCM", False)):
        other = authority.client()
        other.maximum_version = ssl.TLSVersion.TLSv1_2
        other.set_ciphers(suites)
        with closing(socket.create_connection(("127.0.0.1", branch.port), 10)) as connection:
            try:
                other.wrap_socket(connection, server_hostname="127.0.0.1").close()
            except (ssl.SSLError, ConnectionResetError):
                assert not taken
            else:
                assert taken


NOW = datetime.now(UTC).replace(microsecond=0)


class Watched:
    """A certificate that serves, and the watch over it."""

    def __init__(self, directory: Path, days: float = 90) -> None:
        self.authority = Authority(directory, "authority")
        self.certificate, self.key = self.authority.issue("branch", days)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.certificate, self.key)
        self.log, self.clock = FakeEventLog(), FakeClock(NOW)
        files = Tls(certificate_file=self.certificate, key_file=self.key)
        self.watch = CertificateWatch(files, self.context, self.clock, self.log)

    def turn(self) -> list[object]:
        """Look once; return the kinds of all alarms so far."""
        self.watch.turn()
        return [line["kind"] for line in self.log.named("alarm")]

    def serves(self) -> str:
        """Return the serial number of the certificate that a new connection is shown."""
        client = self.authority.client()
        to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        ours = client.wrap_bio(to_client, to_server, server_hostname="127.0.0.1")
        theirs = self.context.wrap_bio(to_server, to_client, server_side=True)
        for side in (ours, theirs, ours, theirs):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
        found = ours.getpeercert()
        assert found is not None
        return str(found["serialNumber"])


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    """Give one that is good for 90 days."""
    return Watched(tmp_path)


def test_a_renewed_certificate_serves_from_then_on(watched: Watched) -> None:
    """No restart, and nothing to be told by but a line of the journal."""
    before = watched.serves()
    assert watched.turn() == []
    watched.authority.issue("branch")
    assert watched.turn() == []

    assert watched.serves() != before
    assert [line["state"] for line in watched.log.named("config")] == ["taken"]


@pytest.mark.parametrize("what", ["certificate", "key", "nothing", "no key"])
def test_a_broken_new_file_keeps_the_old_one(watched: Watched, what: str) -> None:
    """Told when it has stood for a turn, for a renewal writes one after the other; then its end."""
    before, good = watched.serves(), (watched.certificate.read_bytes(), watched.key.read_bytes())
    other = Authority(watched.certificate.parent, "other").issue("other")
    if what == "nothing":
        watched.certificate.write_bytes(b"")
    elif what == "no key":
        watched.key.unlink()
    else:
        (watched.certificate if what == "certificate" else watched.key).write_bytes(
            other[what == "key"].read_bytes()
        )
    assert watched.turn() == []
    assert watched.turn() == watched.turn() == ["certificate_expires"]
    assert watched.serves() == before
    watched.certificate.write_bytes(good[0])
    watched.key.write_bytes(good[1])

    assert watched.turn() == ["certificate_expires", "certificate_expires_cleared"]
    assert watched.serves() == before


@pytest.mark.parametrize(("days", "ahead"), [(400, 30), (80, 20), (8, 2)])
def test_the_end_is_told_a_month_ahead(tmp_path: Path, days: int, ahead: int) -> None:
    """Once, and once more when a newer one is there; never by a clock that is not set.

    Of a short one that renews itself, when a quarter of its time is left: ACME has come by then.

    Bug (a second reading): a clock that came in doubt ended the alarm.
    """
    watched = Watched(tmp_path, days)
    watched.clock.vouched = False
    watched.clock.wall += timedelta(days=days)
    assert watched.turn() == []
    watched.clock.wall -= timedelta(days=ahead + 1)
    watched.clock.vouched = True
    assert watched.turn() == []
    watched.clock.advance(timedelta(days=2).total_seconds())
    assert watched.turn() == watched.turn() == ["certificate_expires"]
    watched.clock.vouched = False
    assert watched.turn() == ["certificate_expires"]
    watched.clock.vouched = True
    watched.authority.issue("branch", 2 * days)

    assert watched.turn() == ["certificate_expires", "certificate_expires_cleared"]


@given(years=st.integers(1, 100))
def test_the_end_is_read_as_others_read_it(
    tmp_path_factory: pytest.TempPathFactory, years: int
) -> None:
    """Both ways of writing a date: with two digits of the year until 2049, with four from then."""
    authority = Authority(tmp_path_factory.mktemp("dated"), "authority")
    certificate, _ = authority.issue("branch", 365 * years)

    other = x509.load_pem_x509_certificate(certificate.read_bytes())
    assert days_of(certificate) == (other.not_valid_before_utc, other.not_valid_after_utc)


def test_a_running_web_process_is_not_restarted(tmp_path: Path) -> None:
    """A client that trusts only the new authority is answered by the same process."""
    authority = Authority(tmp_path, "first")
    (tmp_path / "branch").mkdir()
    branch = Branch(tmp_path / "branch", *authority.settings())
    branch.scheme, branch.tls = "https", authority.client()
    branch.start()
    assert branch.ask("GET", "/healthz").status_code == 200
    newer = Authority(tmp_path, "second")
    newer.issue("branch")
    branch.wait_for("config", state="taken")
    branch.tls = newer.client()

    assert branch.ask("GET", "/healthz").status_code == 200
    assert branch.end() == 0
