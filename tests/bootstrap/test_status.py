"""What `doorctl status` says of a register that can be read but not as it should be."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from doorctl.services.app import patrons_db
from doorctl.services.status import status
from doorctl.store.connection import create_file, open_writer
from doorctl.store.keys import ArgonSealer, read_key
from doorctl.store.patrons import migrations
from doorctl.store.patrons_writer import open_or_create_patrons
from tests.bootstrap.branches import initialised


def test_a_register_of_an_older_doorctl_is_told_as_that(tmp_path: Path) -> None:
    """After an upgrade nobody is sent to look for damage, but to start the writer."""
    config = initialised(tmp_path)
    key = read_key(config.secrets.installation_key_file)
    seal = ArgonSealer(key, config.seal.memory_kib, config.seal.iterations).seal
    path = patrons_db(config)
    path.unlink()
    create_file(path)
    with closing(open_writer(path)) as database:
        migrations.apply(database, stop_before="add_digest")
        filled = (7, config.policy.minimum_age, seal.key_id, seal.memory_kib, seal.iterations)
        database.execute("INSERT INTO cache VALUES (1, ?, NULL, ?, 3, ?, ?, ?)", filled)

    found = status(config)

    assert (found["epoch"], found["patrons"]) == (7, 3)
    assert found["problem"] == (
        f"{path} is of an older doorctl; start doorctl-web once, or load the full feed"
    )

    open_or_create_patrons(path, seal).close()
    assert status(config)["problem"] is None
