"""A backup leaves the house: by Debian's own SFTP server and by HTTP PUT, or it is told why not."""

from __future__ import annotations

import base64
import getpass
import os
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.e2e.test_restoring import Card, card, program
from tests.web.certificates import Authority

LIMIT_S = 20.0
__all__ = ["card"]


def made(card: Card) -> Path:
    """Return the only backup that is kept."""
    (path,) = (card.outside / "kept").glob("*.age")
    return path


def keygen(path: Path) -> str:
    """Make a key of OpenSSH; return the public half."""
    program("ssh-keygen")
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)]
    subprocess.run(command, check=True)
    return path.with_name(f"{path.name}.pub").read_text().strip()


@pytest.fixture
def server(card: Card) -> Iterator[int]:
    """A real sshd for one key, on a free port of loopback; `outside/hosts` knows it."""
    sshd, there = program("sshd"), card.outside
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    host = keygen(there / "host")
    (there / "hosts").write_text(f"[127.0.0.1]:{port} {host}\n")
    (there / "allowed").write_text(keygen(there / "backup.key") + "\n")
    (there / "sshd.conf").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {there}/host\n"
        f"AuthorizedKeysFile {there}/allowed\nStrictModes no\nPidFile none\n"
        "PasswordAuthentication no\nPermitRootLogin prohibit-password\n"
        "Subsystem sftp internal-sftp\n"
    )
    process = subprocess.Popen(
        [sshd, "-D", "-e", "-f", there / "sshd.conf"], stderr=subprocess.PIPE
    )
    end_s = time.monotonic() + LIMIT_S
    while time.monotonic() < end_s:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            time.sleep(0.05)
    yield port
    process.terminate()
    process.communicate(timeout=LIMIT_S)


def sftp(card: Card, port: int, folder: str, *more: str) -> None:
    """Have backups go to a folder of the server."""
    where = f"sftp://{getpass.getuser()}@127.0.0.1:{port}{card.outside}/{folder}/"
    key = f'ssh_key_file = "{card.outside}/backup.key"'
    card.write_config(f'destination = "{where}"', key, *more)


def test_it_comes_whole_by_sftp(card: Card, server: int) -> None:
    """Under its name once it is whole; the age of the last good one is known from then on."""
    (card.outside / "there").mkdir()
    sftp(card, server, "there", f'known_hosts_file = "{card.outside}/hosts"')
    done = card.call("backup")

    assert "and sent it to sftp://" in done.stdout
    (come,) = (card.outside / "there").iterdir()
    assert (come.name, come.read_bytes()) == (made(card).name, made(card).read_bytes())
    assert "recipients" in card.call("audit", "list", "--json").stdout
    card.throw_away()
    card.restore(come)


def test_a_server_that_is_not_known_gets_none(card: Card, server: int) -> None:
    """Nor one without the folder; it is kept here, is not called good, and the line says why."""
    sftp(card, server, "none", f'known_hosts_file = "{card.outside}/hosts"')
    assert "No such file" in card.call("backup", ok=False).stderr
    made(card).unlink()
    (card.outside / "hosts").write_text("")
    said = card.call("backup", ok=False).stderr

    assert "was not sent" in said
    assert "erification failed" in said
    assert made(card).stat().st_size
    assert "recipients" not in card.call("audit", "list", "--json").stdout


@contextmanager
def web_server(
    status: int, context: ssl.SSLContext | None = None
) -> Iterator[tuple[int, list[tuple[str, str, bytes]]]]:
    """Run an HTTP server; yield its port and what was put there: path, authorization, content."""
    come: list[tuple[str, str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        """The municipality's server."""

        def do_PUT(self) -> None:
            """Take a file, and keep what came with it."""
            content = self.rfile.read(int(self.headers["Content-Length"]))
            come.append((self.path, self.headers.get("Authorization", ""), content))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    serving = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if context is not None:
        serving.socket = context.wrap_socket(serving.socket, server_side=True)
    thread = threading.Thread(target=serving.serve_forever)
    thread.start()
    try:
        yield serving.server_port, come
    finally:
        serving.shutdown()
        thread.join()
        serving.server_close()


def test_it_comes_whole_by_put(card: Card) -> None:
    """Over TLS, with a password that stands in a file and in no address."""
    authority = Authority(card.outside, "authority")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.issue("nas"))
    password = card.etc / "backup.password"
    password.write_text("synthetic\n")
    password.chmod(0o600)
    more = (f'ca_file = "{authority.path}"', 'password_file = "backup.password"')
    with web_server(201, context) as (port, come):
        card.write_config(f'destination = "https://oest@127.0.0.1:{port}/dav/"', *more)
        card.call("backup")

    (put,) = come
    told = "Basic " + base64.b64encode(b"oest:synthetic").decode()
    assert put == (f"/dav/{made(card).name}", told, made(card).read_bytes())


def test_what_refuses_a_put_is_told(card: Card) -> None:
    """A full disk there, a certificate of nobody's, or no answer."""
    with web_server(507) as (port, _):
        card.write_config(f'destination = "http://127.0.0.1:{port}/"')
        assert "HTTP status 507" in card.call("backup", ok=False).stderr
    made(card).unlink()
    assert "was not sent: no connection" in card.call("backup", ok=False).stderr


def test_no_password_goes_in_the_clear(card: Card) -> None:
    """Nor is an address taken that no program could use."""
    for url in ("http://nas.example/", "ftp://nas.example/", "https://nas.example/no-slash"):
        card.write_config(f'destination = "{url}"')
        assert "backup.destination" in card.call("check-config", ok=False).stderr
