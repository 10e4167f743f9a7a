"""``doorctl setup`` on the library's server: what its export is, shown by a look, and its keys."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click

from doorctl.admin import machine
from doorctl.admin import setup as rules
from doorctl.cli.options import DEFAULT_CONFIG, read_config
from doorctl.config import Config
from doorctl.config.loading import Origin, Tables, checked, from_values, laid_over, read_tables
from doorctl.config.shipped import shipped
from doorctl.core.errors import AlreadyExistsError, ConfigError, InputError, Problem
from doorctl.core.language import own as language
from doorctl.extras.extra import SenderParts, extra_named
from doorctl.wiring import sync_keys

SERVER_CONFIG = Path("/etc/doorctl/sync.toml")
NAME = "branch.name"
LANGUAGE = "setup.language"


def set_up(path: Path, given: Tables, file: Path | None) -> None:
    """Ask, or read the answers' `file`; show the look, write, and make the keys.

    `given` are answers of the command line. Exit code 1 where it was stopped, 2 where an answer of
    the file can't be used; then nothing is written.
    """
    if file is None and not sys.stdin.isatty():
        raise InputError("there is no terminal to ask at; give --answers FILE")
    answers = given if file is None else read_tables(file)
    if file is not None:
        for name, value in rules.flat(given).items():
            answers = laid_over(answers, name.split("."), value)
    server = _Server(SERVER_CONFIG if str(path) == DEFAULT_CONFIG else path, answers, file is None)
    try:
        server.set_up()
    except ConfigError as error:
        if file is None:
            raise
        click.echo(str(ConfigError(str(file.absolute()), error.problems)), err=True)
        raise SystemExit(2) from None
    except (click.Abort, KeyboardInterrupt):
        click.echo("\n" + server.say("Stopped; nothing was written."), err=True)
        raise SystemExit(1) from None


@dataclass
class _Server:
    """The sender's file at `path`, and answers by table; what is missing is asked if `asks`."""

    path: Path
    answers: Tables
    asks: bool

    def say(self, text: str) -> str:
        """Return a text in the language of the dialogue."""
        code = rules.flat(self.answers).get(LANGUAGE, "en")
        return language(code if code == "da" else "en").words.gettext(text)

    def set_up(self) -> None:
        """Ask for what is missing, and write it all."""
        while self.asks and rules.flat(self.answers).get(LANGUAGE) not in ("da", "en"):
            self._answer(LANGUAGE, click.prompt("Sprog / Language (da, en)", default="da"))
        if is_new := not self.path.exists():
            self._name()
        text = before = self._text(is_new=is_new)
        for name, value in self._keys().items():
            text = rules.edited(text, name, value)
        configured = partial(_configured, self.path)
        mapping = extra_named("mapping")
        if mapping is not None and mapping.sender is not None:
            tables = read_tables(self.path, text.encode())
            edited, asks = rules.edited, self.asks
            parts = SenderParts(
                self.path, text, tables, self.answers, not asks, self.say, edited, configured
            )
            text = mapping.sender(parts)
        config = configured(text)
        self._refuse_other_changes(before, text)
        self._write(text, config, is_new=is_new)

    def _answer(self, name: str, value: object) -> None:
        self.answers = laid_over(self.answers, name.split("."), value)

    def _name(self) -> None:
        if rules.flat(self.answers).get(NAME):
            return
        if not self.asks:
            raise ConfigError("setup", [Problem(NAME, "missing; give the library's name")])
        self._answer(NAME, click.prompt(self.say("The library's name")))

    def _keys(self) -> dict[str, Any]:
        """Return the answers that are keys of the file, but for those of the map."""
        own = {name: value for name, value in self.answers.items() if name not in OWN}
        return rules.flat(own)

    def _text(self, *, is_new: bool) -> str:
        if not is_new:
            return self.path.read_bytes().decode("utf-8-sig")
        return shipped("sync.toml").read_text(encoding="utf-8").partition("[[sync.targets]]")[0]

    def _refuse_other_changes(self, before: str, after: str) -> None:
        """Refuse a text in which more was changed than the answers say."""
        was, now = (_others(read_tables(self.path, each.encode())) for each in (before, after))
        feed = {name: now[name] for name in ("sync.feed",) if name in now}
        if now != was | self._keys() | feed:
            what = "is written in a way that setup can't edit; set what is new there yourself"
            raise ConfigError(str(self.path), [Problem(str(self.path), what)])

    def _write(self, text: str, config: Config, *, is_new: bool) -> None:
        """Write the file, and make the keys of a new one."""
        is_changed = machine.put(self.path, text.encode())
        told = "wrote {path}" if is_changed else "{path} says so already; nothing was changed."
        click.echo(self.say(told).format(path=self.path))
        if is_new:
            try:
                for made in sync_keys.initialise(read_config(self.path, (), sending=True)):
                    click.echo(self.say("made {path}").format(path=made))
            except AlreadyExistsError as error:
                click.echo(str(error))
        if not config.sync or not config.sync.targets:
            text = "Next, for each branch: doorctl pair begin there, doorctl sync pair here."
        else:
            text = "Next: doorctl sync push --dry-run --config {path}"
        click.echo(self.say(text).format(path=self.path))


OWN = ("setup", "source")
"""Tables of the answers that are no keys to be set one by one."""


def _others(tables: Mapping[str, Any]) -> dict[str, Any]:
    """Return all keys but those of the map."""
    rest = {name: value for name, value in tables.items() if name != "source"}
    inner = tables.get("source", {})
    kept = {name: value for name, value in inner.items() if name != "map" and type(value) is dict}
    return rules.flat(rest) | {f"source.{name}": value for name, value in kept.items()}


def _configured(path: Path, text: str) -> Config:
    tables = read_tables(path, text.encode())
    values, wrong = checked(tables)
    origin = Origin(path, (), values, frozenset(tables))
    return from_values(origin, os.environ, wrong)
