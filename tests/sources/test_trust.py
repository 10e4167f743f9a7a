"""Password files and certificate authorities: used, or refused with what to do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from doorctl.core.errors import KeyFileError
from doorctl.sources.asking import read_password, trusting, unreached


def written(path: Path, content: bytes, mode: int = 0o600) -> Path:
    """Write a file with a mode."""
    path.write_bytes(content)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\n\n"])
def test_a_password_is_a_line(tmp_path: Path, end: bytes) -> None:
    """The line's end is no part of it, and it can't be printed."""
    password = read_password(written(tmp_path / "p", b"a-Password~1" + end))

    assert password.reveal() == "a-Password~1"
    assert "Password~1" not in repr(password)


def test_systemds_copy_is_readable(tmp_path: Path) -> None:
    """A credential has mode 0440; only a file that everybody can read is refused."""
    assert read_password(written(tmp_path / "p", b"secret", 0o440)).reveal() == "secret"
    with pytest.raises(KeyFileError, match="can be read by everybody; run `chmod 600"):
        read_password(written(tmp_path / "p", b"secret", 0o604))


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"two\nrows", b"a|b", b"a b", b"\xe6\xf8\xe5", b"a\x00", b"x" * 257]
)
def test_what_is_no_password_is_refused(tmp_path: Path, content: bytes) -> None:
    """What could end a field, or can't be sent as it stands, is told without being shown."""
    with pytest.raises(KeyFileError, match="does not hold a password") as caught:
        read_password(written(tmp_path / "p", content))

    held = content.decode("latin-1").strip()
    assert not held or held not in str(caught.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    """The path stands in the message; a directory and a named pipe are no password either."""
    with pytest.raises(KeyFileError, match="No such file"):
        read_password(tmp_path / "missing")
    with pytest.raises(KeyFileError):
        read_password(tmp_path)
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(KeyFileError):
        read_password(tmp_path / "pipe")


def test_an_authority_is_a_pem_file(tmp_path: Path) -> None:
    """Without one the system's are believed; what is none is told with its path."""
    assert trusting(Path()).check_hostname
    with pytest.raises(KeyFileError, match="holds no certificate authority in PEM"):
        trusting(written(tmp_path / "ca.pem", b"nothing"))
    with pytest.raises(KeyFileError, match=r"missing\.pem holds no"):
        trusting(tmp_path / "missing.pem")


def test_why_a_connection_failed_holds_none_of_its_bytes() -> None:
    """Only the system's own words are repeated, or else the error's type."""
    told = ValueError("3000001234")
    told.__cause__ = ConnectionRefusedError(111, "Connection refused")

    assert unreached(told) == "no connection (Connection refused)"
    assert unreached(ValueError("3000001234")) == "no connection (ValueError)"
