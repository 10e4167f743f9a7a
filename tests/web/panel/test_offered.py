"""Which languages the screen offers, and when it has keys.

Bug (penetration test): the secret of the screen at the door was the same for ever.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from doorctl.config import load
from doorctl.core.errors import ConfigError
from doorctl.core.language import languages
from doorctl.doord.controller import panel_rules
from doorctl.wiring.web import SCREEN, offered, opened_with

CONFIG = load(Path(__file__).parents[3] / "config" / "demo.toml", environment={})
WITH_PAD = replace(CONFIG, panel=replace(CONFIG.panel, keypad=True))


def test_without_a_list_every_catalogue_is_offered() -> None:
    """The branch's own first."""
    known = languages("en")

    assert list(offered(known, ()).known) == ["en", "da"]


def test_a_list_is_offered_after_the_branchs_own() -> None:
    """In its order, the own language once."""
    assert list(offered(languages("en"), ("da", "en")).known) == ["en", "da"]
    assert list(offered(languages("da"), ("da",)).known) == ["da"]


def test_a_language_without_a_catalogue_is_told() -> None:
    """By its key, with what there is."""
    with pytest.raises(ConfigError, match=r"panel\.languages.*for xx.*da, en"):
        offered(languages("da"), ("xx",))


@pytest.mark.parametrize(("port", "keys"), [("", True), ("/dev/ttyUSB1", False)])
def test_a_keypad_that_is_wired_goes_before_the_screen(port: str, *, keys: bool) -> None:
    """Then the screen has no keys, and the door takes none."""
    config = replace(WITH_PAD, keypad=replace(WITH_PAD.keypad, port=port))

    assert panel_rules(config).keys is keys
    assert not panel_rules(replace(config, panel=CONFIG.panel)).keys


def test_the_screen_is_opened_with_what_stands_in_a_file(tmp_path: Path) -> None:
    """For its owner alone; another at each start of the machine, for another address, or at wish.

    A web process that starts again finds the screen as it was.
    """
    config = load(
        Path(__file__).parents[3] / "config" / "demo.toml",
        [f"storage.directory={tmp_path}", "web.port=8081"],
        {},
    )
    screen = tmp_path / SCREEN
    secret = opened_with(config, "boot-1")
    address = "http://127.0.0.1:8081/panel"
    assert f'<form method="post" action="{address}">' in screen.read_text()
    assert f'<input type="hidden" name="key" value="{secret}">' in screen.read_text()
    assert screen.stat().st_mode & 0o777 == 0o600
    assert len(secret) == 22
    assert opened_with(config, "boot-1") == secret
    after = opened_with(config, "boot-2")
    assert after != secret
    assert opened_with(config, "boot-2") == after

    moved = replace(config, web=replace(config.web, port=8082))
    assert opened_with(moved, "boot-3") != opened_with(config, "boot-3")
    screen.write_text("something else")
    assert opened_with(config, "boot-3") in screen.read_text()
    screen.unlink()
    screen.mkdir()
    assert len(opened_with(config, "boot-3")) == 22
