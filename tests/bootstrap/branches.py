"""A branch's configuration in an empty directory, with its keys and databases made."""

from __future__ import annotations

from pathlib import Path

from doorctl.config import Config, load
from doorctl.demo.door import shipped
from doorctl.wiring.installation import initialise


def configured(directory: Path, *overrides: str) -> Config:
    """Return a configuration in which nothing has been made yet."""
    return load(
        shipped("demo.toml"),
        (
            f"storage.directory={directory}",
            f"secrets.installation_key_file={directory / 'installation.key'}",
            "seal.memory_kib=8",
            "reader.port=/dev/null",
            "policy.code_entry=true",
            *overrides,
        ),
    )


def initialised(directory: Path, *overrides: str) -> Config:
    """Return the configuration of a branch after `doorctl init`."""
    config = configured(directory, *overrides)
    initialise(config)
    return config
