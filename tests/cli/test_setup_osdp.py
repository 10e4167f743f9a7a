"""`doorctl setup` with an OSDP reader: libosdp's own, in its set-up mode, at a real pty."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from doorctl.config import load
from doorctl.extras.osdp.keys import read_keys
from tests.cli.machine import Bench, Machine
from tests.e2e.door import COMMANDS
from tests.fakes.keyed_reader import ADDRESS, KeyedReader

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="setup writes what is root's")

SYSTEMCTL = '#!/bin/sh\necho "$@" >>{base}/told\n'
OSDP = f"""
kind = "osdp"
osdp_address = {ADDRESS}
[keypad]
kind = "osdp"
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine with systemd, whose answers name an OSDP reader with keypad."""
    machine = Machine(tmp_path)
    monkeypatch.setenv("PATH", machine.with_systemd(SYSTEMCTL))
    answers = tmp_path / "answers.toml"
    line = f'port = "{tmp_path}/reader"\n'
    answers.write_text(answers.read_text("utf-8").replace(line, line + OSDP), "utf-8")
    return machine


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[KeyedReader]:
    """A reader in its set-up mode, switched on."""
    with closing(KeyedReader(tmp_path)) as reader:
        reader.power_on()
        yield reader


def test_a_reader_is_given_its_key(machine: Machine, reader: KeyedReader) -> None:
    """In its set-up mode, with the door stopped; the door's unit alone is handed the file.

    Once more it is asked whether it has the key, and nothing changes.
    """
    (machine.base / "reader").symlink_to(reader.port)
    key, shown = machine.base / "etc" / "reader.key", ""
    for said in ("a new key", "its key already"):
        done = machine.run()
        assert done.returncode == 0, done.stderr
        shown += done.stdout
        assert f"$ doorctl keys reader --install\nthe reader answers with {said}" in done.stdout
        assert reader.key == key.read_bytes()
        assert machine.mode("etc/reader.key") == 0o600
    assert machine.told()[1:3] == ["stop doorctl-door", "start doorctl-door"]

    written = load(machine.config, environment={"CREDENTIALS_DIRECTORY": "/x"}).origin.values
    assert written["reader.osdp_key_file"] == Path("$CREDENTIALS_DIRECTORY/reader.key")
    units = machine.base / "root/etc/systemd/system"
    drop_in = (units / "doorctl-door.service.d/setup.conf").read_text()
    assert f"LoadCredential=reader.key:{key}\n" in drop_in
    assert "reader.key" not in (units / "doorctl-web.service.d/setup.conf").read_text()
    record = (machine.base / "etc" / "setup-record.txt").read_text("utf-8")
    assert re.search("^reader's key +good$", record, re.MULTILINE)
    assert key.read_bytes().hex() not in shown + record
    # By hand, as after a theft: it is turned over.
    before = reader.key
    turned = COMMANDS.run(["keys", "reader", "--config", str(machine.config)])
    assert "the reader answers with a new key\nNext: systemctl start" in turned.stdout, turned
    assert before != reader.key == key.read_bytes()
    listed = COMMANDS.run(["audit", "list", "--json", "--config", str(machine.config)]).stdout
    deeds = [one for one in json.loads(listed) if one["action"] == "reader_keyed"]
    assert [one["details"]["how"] for one in deeds] == ["made", "installed", "turned over"]


def test_without_its_reader_a_branch_has_a_key_to_give(machine: Machine) -> None:
    """So that the door's unit starts; the exit code is 1, and the step is named."""
    done = machine.run()

    assert done.returncode == 1
    assert "/reader can't be used; check reader.port" in done.stderr
    assert done.stderr.endswith("this failed; mend it and try it: doorctl keys reader --install\n")
    assert len(read_keys(machine.base / "etc" / "reader.key").known) == 1


def test_a_reader_of_another_kind_takes_the_key_out_of_the_file(machine: Machine) -> None:
    """What was written for OSDP goes back to its default; the key's file is left."""
    machine.run()
    other = '[reader]\nkind = "serial"\nosdp_address = 0\n[keypad]\nkind = "serial"\n'
    (machine.base / "other.toml").write_text(f'{other}[setup]\nlanguage = "en"\n')

    done = machine.run("other.toml")

    assert done.returncode == 0, done.stderr
    config = load(machine.config)
    assert config.reader.kind == config.keypad.kind == "serial"
    drop_in = machine.base / "root/etc/systemd/system/doorctl-door.service.d/setup.conf"
    assert "LoadCredential" not in drop_in.read_text()


def test_it_is_asked_for_in_danish(tmp_path: Path, reader: KeyedReader) -> None:
    """The kind first, then what that kind needs: the only line is offered, and its own keypad."""
    with closing(Bench(tmp_path)) as bench:
        (bench.by_id / "usb-RS485-if00").symlink_to(reader.port)
        given = ("branch.name=L", "branch.id=langaa", "branch.isil=", "branch.language=da")
        more = ("branch.phone=1", "setup.language=da")
        terminal = bench.begin(*(f"--set={each}" for each in (*given, *more)))
        terminal.type("Hvordan kortlæseren er forbundet", "osdp")
        terminal.type(r"Kortlæserens linje \[.*usb-RS485-if00\]")
        terminal.type(r"Læserens hastighed.*\[9600\]")
        terminal.type(r"Læserens OSDP-adresse \[0\]", "127")
        terminal.type("Tilladt: et helt tal fra 0 til 126", str(ADDRESS))
        terminal.type(r"Hvad kortets bit er for læseren.*\[text\]", "decimal")
        terminal.type(r"Hvordan tastaturet er forbundet.*\[osdp\]")
        terminal.until("Er relæet trukket")
        terminal.interrupt()
        assert terminal.end() == 1
