from __future__ import annotations

import os
import struct
import tempfile
from pathlib import Path

import pytest

from doorctl.core.errors import AlreadyExistsError, KeyFileError
from doorctl.store.keys import create_key, put, read_key
from tests.fakes.another_user import NOBODY


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the key goes."""
    return tmp_path / "installation.key"


def test_a_new_key_is_32_random_bytes_that_only_the_owner_can_read(path: Path) -> None:
    """What was created is what is read, two keys differ, and the mode is 0600."""
    other = path.with_name("other.key")
    create_key(path)
    create_key(other)

    assert path.stat().st_mode & 0o777 == 0o600
    assert read_key(path).reveal() == path.read_bytes()
    assert len(path.read_bytes()) == 32
    assert path.read_bytes() != other.read_bytes()


def test_a_key_is_never_overwritten(path: Path) -> None:
    """A second init leaves the key alone, also where a dangling link stands in its place."""
    create_key(path)
    before = path.read_bytes()
    link = path.with_name("link.key")
    link.symlink_to(path.with_name("elsewhere"))

    with pytest.raises(AlreadyExistsError, match="already exists"):
        create_key(path)
    with pytest.raises(AlreadyExistsError):
        create_key(link)

    assert path.read_bytes() == before
    assert not path.with_name("elsewhere").exists()


def test_a_key_that_cannot_be_written_is_the_technicians_to_solve(tmp_path: Path) -> None:
    """A missing directory is told with the path and the system's reason."""
    with pytest.raises(KeyFileError, match=r"nowhere/k can't be written: No such file"):
        create_key(tmp_path / "nowhere" / "k")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory away")
def test_a_file_of_roots_in_anothers_directory_can_be_added_to() -> None:
    """It is the directory's owner's afterwards, as a new one would be, and of the mode that it had.

    Bug (a second reading): where root had copied ``sync.toml`` into the sender's directory, no
    branch could be paired.
    """
    with tempfile.TemporaryDirectory() as directory:
        os.chown(directory, NOBODY, NOBODY)
        path = Path(directory, "sync.toml")
        path.write_text("before")
        path.chmod(0o644)
        put(path, b"after", keep=True)
        status, names = path.stat(), [one.name for one in Path(directory).iterdir()]

        assert path.read_text() == "after"
        assert (status.st_uid, status.st_mode & 0o777) == (NOBODY, 0o644)
        assert names == ["sync.toml"]


def test_a_missing_key_names_the_command_that_makes_it(path: Path) -> None:
    """The technician is told to run init."""
    with pytest.raises(KeyFileError, match=r"installation\.key is missing; run `doorctl init`"):
        read_key(path)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_that_others_can_read_is_refused(path: Path, mode: int) -> None:
    """A key that leaked to the group or the world is not used; the text gives the cure."""
    create_key(path)
    path.chmod(mode)

    with pytest.raises(KeyFileError, match="chmod 600"):
        read_key(path)


def test_a_systemd_credential_is_accepted(path: Path) -> None:
    """An ACL for one user shows as group bits in the mode, but no group can read the file."""
    create_key(path)
    _set_acl(path, group=0)

    assert path.stat().st_mode & 0o070
    assert len(read_key(path).reveal()) == 32


def test_an_acl_does_not_hide_a_readable_group(path: Path) -> None:
    """With an ACL the group's own entry decides."""
    create_key(path)
    _set_acl(path, group=4)

    with pytest.raises(KeyFileError, match="chmod 600"):
        read_key(path)


@pytest.mark.parametrize("size", [0, 31, 33, 4096])
def test_a_key_of_another_length_is_refused_without_showing_it(path: Path, size: int) -> None:
    """A cut or foreign file is no key, and no byte of it is in the text."""
    path.touch(0o600)
    path.write_bytes(b"K" * size)

    with pytest.raises(KeyFileError, match="exactly 32 bytes") as caught:
        read_key(path)

    assert "KKKK" not in str(caught.value)


def test_what_is_no_regular_file_is_refused_at_once(path: Path) -> None:
    """A directory or a pipe that nobody writes does not hold up the start."""
    os.mkfifo(path, 0o600)

    with pytest.raises(KeyFileError, match="not a regular file"):
        read_key(path)
    with pytest.raises(KeyFileError, match="not a regular file"):
        read_key(path.parent)


def _set_acl(path: Path, *, group: int) -> None:
    user_obj, user, group_obj, mask, other = 0x01, 0x02, 0x04, 0x10, 0x20
    nobody, undefined = 65534, 0xFFFFFFFF
    entries = [
        (user_obj, 6, undefined),
        (user, 4, nobody),
        (group_obj, group, undefined),
        (mask, 4, undefined),
        (other, 0, undefined),
    ]
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    try:
        os.setxattr(path, "system.posix_acl_access", acl)
    except OSError:
        pytest.skip("this file system has no access control lists")
