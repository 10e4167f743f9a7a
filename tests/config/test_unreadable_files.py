from pathlib import Path

import pytest

from doorctl.config import load
from doorctl.core.errors import ConfigError

NO_TOML = [
    (
        b"[door\nrelease_s = 5",
        (
            "line 1, column 6: is no TOML: Expected ']' at the end of a table declaration; "
            "texts need quotes, a key and its value one line"
        ),
    ),
    (
        b"[door]\nrelease_s = ",
        (
            "end of document: is no TOML: Invalid value; "
            "texts need quotes, a key and its value one line"
        ),
    ),
    (
        b"[web]\nport = " + b"9" * 5000,
        "the file: is no TOML: a number has too many digits",
    ),
    (
        b"[branch]\nname = 'Randers Bibliotek, \xd8st'",
        "line 2: holds what is no UTF-8; save the file as UTF-8",
    ),
    (
        b"x = " + b"[" * 100_000,
        "the file: is no TOML that can be read: lists are nested too deep",
    ),
]


@pytest.mark.parametrize(("content", "problem"), NO_TOML, ids=range(len(NO_TOML)))
def test_a_file_that_is_no_toml_has_one_problem(
    tmp_path: Path, content: bytes, problem: str
) -> None:
    """A file that is no TOML gives one line that says where."""
    path = tmp_path / "doorctl.toml"
    path.write_bytes(content)

    with pytest.raises(ConfigError) as caught:
        load(path, environment={})

    assert [str(one) for one in caught.value.problems] == [problem]


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    """A file that is not there gives one line with the next step, and no second exception."""
    path = tmp_path / "doorctl.toml"

    with pytest.raises(ConfigError) as caught:
        load(path, environment={})

    assert str(caught.value) == (
        f"{path}: file not found: copy config/doorctl.toml there and fill it in, "
        "or name another with --config"
    )


def test_an_unreadable_file_says_what_to_do(tmp_path: Path) -> None:
    """What can't be read as a file gives one line with the reason and the next step."""
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, environment={})

    assert str(caught.value) == (
        f"{tmp_path}: the file: can't be read (is a directory); "
        "see its owner and mode, or use --config"
    )
