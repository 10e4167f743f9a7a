"""TLS with certificates on both sides, between real processes."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx2
import pytest

from tests.web.branch import Branch, answer_of, rows
from tests.web.certificates import Authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Whom both sides trust."""
    return Authority(tmp_path_factory.mktemp("authority"), "authority")


@pytest.fixture(scope="module")
def branch(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Branch]:
    """A branch that speaks TLS, with those who have a certificate."""
    certificate, key = authority.issue("branch")
    branch = Branch(
        tmp_path_factory.mktemp("tls"),
        f"web.tls.certificate_file={certificate}",
        f"web.tls.key_file={key}",
        f"web.tls.client_ca_file={authority.path}",
    )
    branch.scheme = "https"
    branch.start()
    yield branch
    branch.end()


def context(authority: Authority, identity: tuple[Path, Path] | None) -> ssl.SSLContext:
    """Return a client that trusts an authority and shows a certificate, or none."""
    made = ssl.create_default_context(cafile=str(authority.path))
    if identity is not None:
        made.load_cert_chain(*identity)
    return made


def test_a_sender_with_a_certificate_is_heard(branch: Branch, authority: Authority) -> None:
    """A push and a question work as without TLS."""
    branch.tls = context(authority, authority.issue("sender"))

    assert branch.push(branch.document(rows(60), 1)).status_code == 200
    assert branch.held()["epoch"] == 1


def test_a_sender_without_a_certificate_is_not_heard(branch: Branch, authority: Authority) -> None:
    """It is told what it lacks before its push is read; a browser gets its page without one."""
    branch.tls = context(authority, None)

    answer = branch.push(branch.document(rows(60), 2))

    assert (answer.status_code, answer.json()) == (401, {"error": "uncertified"})
    assert branch.ask("GET", "/static/doorctl.css").status_code == 200


def test_a_certificate_of_somebody_else_is_none(
    branch: Branch, authority: Authority, tmp_path: Path
) -> None:
    """Only web.tls.client_ca_file vouches for senders."""
    stranger = Authority(tmp_path, "stranger")
    branch.tls = context(authority, stranger.issue("sender"))

    with pytest.raises(httpx2.TransportError):
        branch.held()


def test_plain_http_is_not_spoken(branch: Branch) -> None:
    """What is sent without TLS is not answered."""
    connection = socket.create_connection(("127.0.0.1", branch.port), 10)
    connection.sendall(b"GET /v1/patrons/epoch HTTP/1.1\r\nHost: x\r\n\r\n")

    assert b"200" not in answer_of(connection)


def test_tls_1_1_is_not_spoken(branch: Branch, authority: Authority) -> None:
    """What has been deprecated since RFC 8996 is refused."""
    old = context(authority, authority.issue("sender"))
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
        other = context(authority, None)
        other.maximum_version = ssl.TLSVersion.TLSv1_2
        other.set_ciphers(suites)
        with closing(socket.create_connection(("127.0.0.1", branch.port), 10)) as connection:
            try:
                other.wrap_socket(connection, server_hostname="127.0.0.1").close()
            except (ssl.SSLError, ConnectionResetError):
                assert not taken
            else:
                assert taken
