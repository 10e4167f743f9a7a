"""The OSDP reader's key at rest: in each backup, and in nothing that is sent to a helper."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from doorctl.admin.backup import named_files
from doorctl.admin.machine import drop_ins
from doorctl.admin.support import bundle
from doorctl.config import Config, load
from doorctl.extras.osdp.keys import ReaderKey, ReaderKeys, write_keys
from doorctl.lookup.key_days import days_of_keys, placed
from doorctl.store.key_age import KEY_LIFE, Days
from tests.admin.test_restoring import CONFIGURATION

KEY = b"a synthetic key."


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A branch with an OSDP reader, whose key systemd hands over."""
    reader = '[keypad]\nkind = "osdp"\n[reader]\nkind = "osdp"\n'
    reader += 'osdp_key_file = "$CREDENTIALS_DIRECTORY/reader.key"\n'
    path = tmp_path / "doorctl.toml"
    path.write_text(CONFIGURATION.replace("[reader]\n", reader), encoding="utf-8")
    write_keys(tmp_path / "reader.key", ReaderKeys(ReaderKey(KEY)))
    return load(path)


def test_a_backup_has_it_as_it_has_the_installation_key(config: Config, tmp_path: Path) -> None:
    """Without it a new card would not hear the reader, which would have to come off the wall."""
    assert tmp_path / "reader.key" in {placed(config, file) for file in named_files(config)}


def test_its_age_is_told_of_like_that_of_other_keys(config: Config, tmp_path: Path) -> None:
    """Status, the overview and the alarm of old keys have it; a serial reader has none.

    Bug (the issue of the readers): the one key that is kept outside the house was the one whose
    age nothing told.
    """
    os.utime(tmp_path / "reader.key", (1.7e9, 1.7e9))
    begun = datetime.fromtimestamp(1.7e9, UTC)

    assert days_of_keys(config)["reader_key"] == Days(begun, begun + KEY_LIFE)
    serial = tmp_path / "serial.toml"
    serial.write_text(CONFIGURATION, encoding="utf-8")
    assert "reader_key" not in days_of_keys(load(serial))


def test_the_doors_unit_alone_is_handed_it(config: Config, tmp_path: Path) -> None:
    """Web, which the network reaches, has no use for it."""
    line = f"LoadCredential=reader.key:{tmp_path}/reader.key\n"
    handed = {unit for unit, text in drop_ins(config, tmp_path).items() if line in text}

    assert handed == {"doorctl-door.service"}


def test_a_support_bundle_has_it_not(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says that there is one, and neither what it is nor where it lies."""
    program = tmp_path / "bin" / "journalctl"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))

    text = bundle(config)

    assert "reader.osdp_key_file is given\n" in text
    assert not any(word in text for word in (KEY.decode(), KEY.hex(), str(tmp_path)))
