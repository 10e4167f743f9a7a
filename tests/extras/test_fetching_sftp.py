"""An export over SFTP, from a real sshd on loopback, by doorctl.extras.fetching."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from doorctl.core.errors import FetchAwayError, FetchError, KeyFileError, StoreError
from doorctl.core.identity import owner_of
from doorctl.extras.fetching import Fetch, Sftp
from doorctl.extras.fetching.exports import fetched
from doorctl.extras.fetching.place import FOLDER, Aside, Wanted
from doorctl.extras.fetching.sftp import fetch_over_sftp
from tests.fakes.clock import FakeClock
from tests.sources.http_server import free_port
from tests.sources.ssh_server import SshServer, keygen, ssh_server

ROWS = b"cardnumber;born\n3000001234;1970-01-01\n"


class RunningClock(FakeClock):
    """A fake clock whose monotonic time goes on."""

    def monotonic_s(self) -> float:
        """Return the real time."""
        return time.monotonic()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    """A real sshd with a folder ``drop``."""
    with ssh_server(tmp_path_factory.mktemp("server")) as made:
        (made.directory / "drop").mkdir()
        yield made


@pytest.fixture
def drop(server: SshServer) -> Iterator[Path]:
    """The folder, with one export in it."""
    folder = server.directory / "drop"
    (folder / "2026-03-02-full.csv").write_bytes(ROWS)
    os.utime(folder / "2026-03-02-full.csv", (1_700_000_000,) * 2)
    yield folder
    for path in folder.iterdir():
        path.unlink()


def wanted(server: SshServer, path: str = "drop/", **changed: Any) -> Fetch:
    """Return what is asked for: a file or folder of the server."""
    limits = {name: changed.pop(name) for name in ("silence_s", "most_mib") if name in changed}
    there = {
        "host": "127.0.0.1",
        "port": server.port,
        "user": server.user,
        "path": f"{server.directory}/{path}",
        "key_file": server.directory / "client.key",
        "known_hosts_file": server.directory / "known_hosts",
    }
    return Fetch(**limits, sftp=Sftp(**{**there, **changed}))


def come(state: Path, fetch: Fetch) -> tuple[str, bytes, float]:
    """Fetch; return the file's name, what is in it, and when it was written there."""
    try:
        with fetched(Wanted(fetch, "csv", ""), RunningClock(), state) as found:
            assert found is not None
            status = found.path.stat()
            assert status.st_mode & 0o777 == 0o600
            return found.path.name, found.path.read_bytes(), status.st_mtime
    finally:
        assert {path.name for path in state.iterdir()} <= {f"{FOLDER}.lock"}


def test_a_file_comes_whole(tmp_path: Path, server: SshServer, drop: Path) -> None:
    """Byte for byte, with its time, into a file of our own alone; the one there stays."""
    large = drop / "with a blank æ.csv"
    large.write_bytes(ROWS * 50_000)
    large.chmod(0o644)

    assert come(tmp_path, wanted(server, f"drop/{large.name}"))[1] == ROWS * 50_000
    assert large.is_file()


def test_of_a_folder_the_last_whole_register_comes(
    tmp_path: Path, server: SshServer, drop: Path
) -> None:
    """By its name, as in a folder of our own; odd names are left alone."""
    for name in ("2025-12-31-full.csv", "2026-03-03-changes.csv", "a b-full.csv", ".z-full.csv"):
        (drop / name).write_bytes(b"other")

    assert come(tmp_path, wanted(server)) == ("2026-03-02-full.csv", ROWS, 1_700_000_000)


def test_a_server_whose_key_is_another_one_is_not_believed(
    tmp_path: Path, server: SshServer, drop: Path
) -> None:
    """Nothing is fetched, and the line says what to do before the new key is put in."""
    assert drop.is_dir()
    other = keygen(tmp_path / "other")
    (tmp_path / "hosts").write_text(f"[127.0.0.1]:{server.port} {other}\n")
    state = tmp_path / "state"
    state.mkdir()

    with pytest.raises(FetchError, match="its host key is another one than before; find out why"):
        come(state, wanted(server, known_hosts_file=tmp_path / "hosts"))


def test_what_fails_is_one_line(tmp_path: Path, server: SshServer, drop: Path) -> None:
    """Each fault by name, without a word of the other machine; nothing is kept."""
    (drop / "empty.csv").touch()
    (tmp_path / "none").write_text("")
    keygen(tmp_path / "stranger")
    (tmp_path / "torn").write_text("x")
    (tmp_path / "torn").chmod(0o600)
    state = tmp_path / "state"
    state.mkdir()
    faults: list[tuple[Fetch, type[Exception], str]] = [
        (wanted(server, known_hosts_file=tmp_path / "none"), FetchError, "its host key is not in"),
        (wanted(server, key_file=tmp_path / "stranger"), FetchError, "does not accept"),
        (wanted(server, key_file=tmp_path / "torn"), FetchError, "no private key without a"),
        (wanted(server, key_file=tmp_path / "missing"), KeyFileError, "can't be read"),
        (wanted(server, key_file=tmp_path / 'q"'), KeyFileError, "can't be read"),
        (wanted(server, "drop/none.csv"), FetchError, "nothing is at source.fetch.sftp.path"),
        (wanted(server, "none/"), FetchError, "nothing is at source.fetch.sftp.path"),
        (wanted(server, ""), FetchError, "no file whose name ends in full"),
        (wanted(server, "drop"), FetchError, "is a folder; give a / at its end"),
        (wanted(server, "drop/empty.csv"), FetchError, "the file is empty"),
        (wanted(server, port=free_port()), FetchAwayError, "no connection (Connection refused)"),
        (wanted(server, host="none.invalid"), FetchAwayError, "its name is not known"),
    ]
    for fetch, error, why in faults:
        with pytest.raises(error) as caught:
            come(state, fetch)
        assert why in str(caught.value), str(caught.value)
        assert isinstance(caught.value, ConnectionError) is (error is FetchAwayError)


def test_a_server_that_falls_silent_is_left(tmp_path: Path) -> None:
    """One that takes the connection and says nothing holds no run longer than it may."""
    (tmp_path / "hosts").touch()
    state = tmp_path / "state"
    state.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        there = SshServer(tmp_path, silent.getsockname()[1])
        keygen(tmp_path / "client.key")
        fetch = wanted(there, silence_s=0.3, known_hosts_file=tmp_path / "hosts")

        with pytest.raises(FetchAwayError, match="it does not answer in time"):
            come(state, fetch)


def test_one_that_is_too_large_is_cut(tmp_path: Path, server: SshServer, drop: Path) -> None:
    """No more is kept than is allowed."""
    with (drop / "2027-full.csv").open("wb") as large:
        large.truncate(3 * 1024 * 1024)

    with pytest.raises(FetchError, match="larger than 1 MiB"):
        come(tmp_path, wanted(server, most_mib=1))


def test_a_full_disk_is_one_line(tmp_path: Path, server: SshServer, drop: Path) -> None:
    """It says where to make room."""
    name = f"drop/{next(drop.iterdir()).name}"
    with Path("/dev/full").open("wb", 0) as full:
        aside = Aside(tmp_path / "x", full.fileno(), 1)
        with pytest.raises(StoreError, match="No space left on device; make room in"):
            fetch_over_sftp(wanted(server, name), RunningClock(), aside)


def test_a_file_that_is_being_written_is_not_taken(tmp_path: Path, server: SshServer) -> None:
    """What came is as long as the file was, before and after; the kernel's own files say 0."""
    fetch = wanted(server)

    with pytest.raises(FetchAwayError, match="it was written while it came, or came in part"):
        come(tmp_path, replace(fetch, sftp=replace(fetch.sftp, path="/proc/version")))


@pytest.mark.skipif(os.getuid() != 0, reason="root's commands act as another user")
def test_root_fetches_as_the_owner_of_the_directory(server: SshServer, drop: Path) -> None:
    """A command that root types by hand reads the keys and writes the file as the unit's user."""
    assert drop.is_dir()
    other = pwd.getpwnam("nobody")
    with TemporaryDirectory() as made:
        state, secrets = Path(made, "state"), Path(made, "keys")
        secrets.mkdir()
        state.mkdir(mode=0o700)
        for name in ("client.key", "known_hosts"):
            shutil.copy2(server.directory / name, secrets)
        for path in (Path(made), state, secrets, *secrets.iterdir()):
            os.chown(path, other.pw_uid, other.pw_gid)
        fetch = wanted(
            server,
            key_file=secrets / "client.key",
            known_hosts_file=secrets / "known_hosts",
        )
        with owner_of(state):
            came = come(state, fetch)

    assert came[1] == ROWS
