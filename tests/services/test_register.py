"""The register as whoever looks a card up opens it."""

from __future__ import annotations

from pathlib import Path

import pytest

from doorctl.core.errors import StoreError
from doorctl.services import cards
from doorctl.services.app import App
from doorctl.services.cards import open_register
from tests.services.branches import initialised


def test_another_installation_key_is_told_and_not_taken_for_an_unknown_card(tmp_path: Path) -> None:
    """Whoever asks why is told that all must be loaded again, not that nobody is known.

    Bug (stranger's review): after a change of the installation key "why?" said that nobody
    knows the card.
    """
    config = initialised(tmp_path)
    key = config.secrets.installation_key_file
    key.write_bytes(bytes(range(32)))

    with pytest.raises(StoreError, match="sealed with another installation key"):
        cards.explain(App.of(config), "3000001234", None)


def test_a_register_that_is_not_there_is_told(tmp_path: Path) -> None:
    """Nothing is made by looking."""
    config = initialised(tmp_path)
    (config.storage.directory / "patrons.db").unlink()

    with pytest.raises(StoreError), open_register(App.of(config)):
        pass
    assert not (config.storage.directory / "patrons.db").exists()
