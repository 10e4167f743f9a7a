"""Texts that are loaded as a configuration, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from doorctl.config import Config, load
from doorctl.core.errors import ConfigError

RIGHT = """
[branch]
name = "Randers Bibliotek, Øst"
id = "oest"
[reader]
port = "/dev/ttyUSB0"
"""

Configured = Callable[..., Config]
Wrong = Callable[..., list[str]]


@pytest.fixture
def configured(tmp_path: Path) -> Configured:
    """Return a function that loads a text, under overrides."""

    def load_text(text: str, *overrides: str, environment: dict[str, str] | None = None) -> Config:
        path = tmp_path / "doorctl.toml"
        path.write_text(text, encoding="utf-8")
        return load(path, overrides, environment=environment or {})

    return load_text


@pytest.fixture
def loaded(configured: Configured) -> Callable[..., Any]:
    """Load a text; a file of one table has a shorter way of its own."""
    return configured


@pytest.fixture
def wrong(loaded: Callable[..., Any], tmp_path: Path) -> Wrong:
    """Return a function that loads as `loaded` does, and returns the problems' lines."""

    def lines_of(*written: str, **keys: str) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            loaded(*written, **keys)
        lines = [str(problem) for problem in caught.value.problems]
        assert str(caught.value).splitlines() == [
            f"{tmp_path / 'doorctl.toml'}: {line}" for line in lines
        ]
        return lines

    return lines_of
