"""Which system a library has, asked or read, and what its map leaves open; then the look."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from doorctl.core.errors import ConfigError, DoorctlError, FeedError, Problem
from doorctl.core.identity import owner_of
from doorctl.extras.extra import feed_rows, fetched
from doorctl.extras.mapping import survey
from doorctl.extras.mapping.systems import (
    FBS,
    LABELS,
    OTHER,
    OWN_NAMES,
    SYSTEMS,
    Draft,
    Entry,
    ready,
    recognised,
    with_source,
)
from doorctl.extras.mapping.verbs import FALSE, day_of
from doorctl.lookup.configured import system_clock
from doorctl.sync.exports import FeedExports
from doorctl.sync.feed import read_rows
from doorctl.sync.look import Look, in_words, look

if TYPE_CHECKING:
    from doorctl.extras.extra import SenderParts

YES_NO = {"ja": True, "j": True, "yes": True, "y": True, "nej": False, "no": False, "n": False}
NONE = "-"
EMPTY = "(-)"
"""How a cell without anything is shown."""

DAY = "31-12-1970"
KINDS = {".json": "json", ".xml": "xml", ".ndjson": "ndjson", ".jsonl": "ndjson"}


def set_up(parts: SenderParts) -> str:
    """Return the sender's file with the ``[source]`` that the answers come to, and its sync.feed.

    Asks what has no answer yet, unless they are `scripted`. ConfigError: an answer is wrong, or
    would keep everybody out; says which.
    """
    setup = _Setup(parts)
    with setup.stack:
        return setup.text()


@dataclass
class _Setup:
    """One run; `system`, `draft` and `feed` are the answers so far."""

    parts: SenderParts
    system: str = ""
    feed: str = ""
    draft: Draft = field(default_factory=lambda: Draft({}, {}))
    is_again: bool = False
    stack: ExitStack = field(default_factory=ExitStack)

    def text(self) -> str:
        tables = self.parts.tables
        there = tables.get("source", {})
        # What is there may be where it is fetched from alone.
        there = there if "map" in there else {}
        self.system = recognised(self.parts.text, there)
        self.feed = str(tables.get("sync", {}).get("feed", ""))
        self._begin(there)
        if self.parts.scripted:
            return self._read(there)
        while True:
            self._ask_system()
            file = self._ask_export()
            try:
                if self.system != FBS:
                    self._ask_map(file)
                if (text := self._looked_at(file)) is not None:
                    return text
            except DoorctlError as error:
                click.echo(str(error), err=True)
            self._tell("Then once more: what was answered is offered.")
            self.is_again = True

    def _begin(self, there: Mapping[str, Any]) -> None:
        """Draw the draft of the system up anew: from what stands there, else from its ready map."""
        self.draft = Draft.of(there or ready(self.system))
        given = self.parts.given.get("source", {})
        over = Draft.of(given)
        self.draft.head |= over.head
        self.draft.entries |= over.entries

    def _read(self, there: Mapping[str, Any]) -> str:
        """Return the text without asking anything."""
        given = self.parts.given
        system = given.get("setup", {}).get("system", self.system)
        if system not in SYSTEMS:
            what = f"found another text; give one of {', '.join(SYSTEMS)}"
            raise ConfigError("setup", [Problem("setup.system", what)])
        if is_new := system != self.system or not there:
            self.system = system
            self._begin({})
        if is_new and system != FBS and "resident" not in given.get("source", {}).get("map", {}):
            (entry,) = self.draft.entries.get("resident") or [{"from": "category"}]
            what = f'missing; say who lives here, as {{from = "{entry["from"]}", in = ["..."]}}'
            raise ConfigError("setup", [Problem("source.map.resident", what)])
        text = self._written()
        try:
            file = self._file()
        except FeedError as error:
            raise ConfigError("setup", [Problem("sync.feed", str(error))]) from None
        seen = self._look(text, file)
        click.echo("\n".join(in_words(seen)))
        if said := _against(seen):
            where, what = said[0]
            raise ConfigError("setup", [Problem(where, what)])
        return text

    def _ask_system(self) -> None:
        is_known = self.is_again or self.parts.path.exists()
        if (given := self.parts.given.get("setup", {}).get("system")) in SYSTEMS:
            chosen = given
        else:
            for number, (name, text) in enumerate(SYSTEMS.items(), 1):
                click.echo(f"{number:3} {name:12} {self.parts.say(text)}")
            offered = self.system if is_known else ""
            chosen = self._choose("Which system does the library have? A name or number", offered)
        if chosen != self.system:
            self.system = chosen
            self._begin({})

    def _choose(self, text: str, offered: str) -> str:
        numbered = {str(number): name for number, name in enumerate(SYSTEMS, 1)}
        while True:
            typed = self._typed(text, offered)
            if (name := numbered.get(typed, typed)) in SYSTEMS:
                return name
            self._tell("That is none of them.")

    def _ask_export(self) -> Path:
        """Ask where the export lies, until there is one; one that is fetched is fetched now."""
        while not self.is_fetched:
            before = self.feed
            if not self.parts.given.get("sync", {}).get("feed"):
                text = "File of the export, or the folder that exports fall into"
                self.feed = self._typed(text, self.feed)
            try:
                return self._file()
            except FeedError as error:
                self.feed = before
                click.echo(str(error), err=True)
                if self.parts.given.get("sync", {}).get("feed"):
                    raise
        self._tell("The export is fetched, as [source.fetch] says.")
        return self._file()

    @property
    def is_fetched(self) -> bool:
        """Whether the file says that the export is fetched from another machine."""
        fetch = self.parts.tables.get("source", {}).get("fetch", {})
        return bool(fetch.get("http", {}).get("url") or fetch.get("sftp", {}).get("host"))

    def _fetched(self) -> Path:
        """Fetch the export by the draft so far; it is deleted at the end, or by the next one."""
        self.stack.close()
        config = self.parts.configured(self._written())
        directory = config.sync.state_directory if config.sync else Path()
        block = fetched(config, system_clock(config), directory)
        came = None
        if block is not None:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            with owner_of(directory):
                came = self.stack.enter_context(block)
        if came is None:
            raise FeedError("source.fetch", [Problem("export", "was not fetched")])
        return came.path

    def _file(self) -> Path:
        """Return the newest whole export; FeedError: there is none."""
        if self.is_fetched:
            return self._fetched()
        path = self.parts.path.parent / self.feed
        if not path.exists():
            raise FeedError(str(path), [Problem("export", "is not there; put one there first")])
        exports = FeedExports(path, pin_length=4, rows_of=lambda _: iter(()))
        return exports.files()[0]

    def _ask_map(self, file: Path) -> None:
        """Ask for what the map leaves open, by what is in the file."""
        is_bare = not self.draft.entries
        if is_bare:
            self._ask_kind(file)
        self._ask_encoding(file)
        names = survey.names(self.draft, file)
        asked_again = [*self.draft.placed()] if self.is_again else []
        missing = asked_again or survey.lacking(self.draft, file)
        if self.system == OTHER and (is_bare or self.is_again):
            known = self.draft.entries.keys()
            missing += [(leaf, {}) for leaf in LABELS if leaf not in known]
        if missing:
            click.echo(self.parts.say("In the file: {names}").format(names=", ".join(names)))
        for leaf, entry in missing:
            self._ask_path(leaf, entry, names, file)
        learnt = not self.draft.entries.get("pincode")
        self.draft.head |= {"pins": "learnt" if learnt else "export"}
        for leaf, entry in [*self.draft.placed()]:
            if leaf in ("birthday", "valid_until"):
                self._ask_format(leaf, entry, file)
        for leaf in ("resident", "active", "blocks"):
            for entry in [*self.draft.entries.get(leaf, [])]:
                if entry.get("from") and self._is_open(leaf, entry, file):
                    self._ask_words(leaf, entry, file)

    def _ask_kind(self, file: Path) -> None:
        kind = KINDS.get(file.suffix.lower(), "csv")
        self.draft.head = {"kind": kind}
        if kind in ("json", "xml"):
            found = survey.lists(file, kind)
            if kind == "json" and "" in found:
                return
            self._tell("In the file: {names}", names=", ".join(found))
            self.draft.head["records"] = self._typed(
                "What a patron's element or the list of patrons is called", (found or [""])[0]
            )

    def _ask_encoding(self, file: Path) -> None:
        """Ask what letters are written in, where the map's own encoding can't read them.

        Any bytes are some letters of cp1252, so that UTF-8 is tried before it.
        """
        if self.draft.head.get("encoding", "utf-8") != "utf-8" and survey.is_utf8(file):
            self.draft.head["encoding"] = "utf-8"
        while self.draft.is_flat and (why := survey.unread(self.draft, file)):
            click.echo(why, err=True)
            now = self.draft.head.get("encoding", "utf-8")
            typed = self._typed(
                "What its letters are written in", "cp1252" if now == "utf-8" else "utf-8"
            )
            try:
                "".encode(typed)
                self.draft.head["encoding"] = typed
            except (LookupError, ValueError):
                self._tell("That is none of them.")

    def _ask_path(self, leaf: str, entry: Entry, names: list[str], file: Path) -> None:
        """Ask what a field is called there; nothing is taken that no row has."""
        label = self.parts.say(LABELS.get(leaf, leaf))
        entries = self.draft.entries.setdefault(leaf, [])
        while True:
            text = "{label}: what is it called there? - for none"
            if entry.get("from") and not self.is_again:
                text = "Nothing is called {path} ({label}). What is it called? - for none"
            now = entry.get("from", "")
            typed = self._typed(text, now if self.is_again else "", label=label, path=now)
            if typed == NONE and leaf != "patron_id":
                entries[:] = [each for each in entries if each is not entry]
                if leaf == "resident":
                    entries[:] = [{"default": True}]
                return
            made = {**_blank(leaf, is_flat=self.draft.is_flat), **entry, "from": typed}
            try:
                trial = Draft(self.draft.head, {leaf: [made]})
                if not survey.lacking(Draft(trial.head, {leaf: [{"from": typed}]}), file):
                    entries[:] = [made if each is entry else each for each in entries]
                    if not entry:
                        entries.append(made)
                    return
            except ValueError:
                pass
            self._tell(
                "Nothing in the file is called that. In the file: {names}", names=", ".join(names)
            )

    def _ask_format(self, leaf: str, entry: Entry, file: Path) -> None:
        likely = survey.formats(self.draft, file, leaf, entry)
        if likely is None:
            return
        examples = {_day(each): each for each in (*likely, *survey.FORMATS)}
        # A day up to the 12th of a month can be read in both orders.
        offered = _day(likely[0]) if len(likely) == 1 else ""
        text = "How is a day written in {path}? As one of: {days}"
        days = ", ".join(examples)
        while (typed := self._typed(text, offered, path=entry["from"], days=days)) not in examples:
            self._tell("That is none of them.")
        entry.pop("format", None)
        if examples[typed] != "%Y-%m-%d":
            entry["format"] = examples[typed]

    def _is_open(self, leaf: str, entry: Entry, file: Path) -> bool:
        """Tell whether a map leaves open which words mean something."""
        if leaf in self.parts.given.get("source", {}).get("map", {}):
            return False
        if leaf == "resident":
            return True
        if leaf == "active":
            there = survey.category_words(self.draft, file, leaf, entry).all.keys()
            says_yes = entry.get("in") or entry.get("true_if")
            return not there & {*says_yes} if says_yes else not there <= {"true", *FALSE}
        return (
            self.system in OWN_NAMES and "present" in entry and not self.draft.entries.get("active")
        )

    def _ask_words(self, leaf: str, entry: Entry, file: Path) -> None:
        """Ask which words mean it, of those that are there; say so where that is all or none."""
        found = survey.category_words(self.draft, file, leaf, entry)
        no = sorted(FALSE | {word for word in found.all if word.lower() in FALSE})
        if leaf == "blocks":
            found = found.without(no)
            if not found.all:
                return
        self._show(entry["from"], found)
        says_yes = entry.get("in") or entry.get("true_if") or []
        lower = {each.lower() for each in says_yes}
        is_true_if = "true_if" in entry
        if is_true_if and {word.lower() for word in found.all} <= lower | FALSE:
            offered = [word for word in found.all if word.lower() in lower]
        else:
            offered = [word for word in says_yes if word in found.all]
        text = {
            "resident": "Which of these live here? With commas between",
            "active": "With which of these does the card count? With commas between",
            "blocks": "Which of these say that nothing is wrong? - for none: all keep out",
        }[leaf]
        while True:
            default = NONE if leaf == "blocks" and not offered else _joined(offered)
            typed = self._typed(text, default)
            chosen = [] if typed == NONE else _split(typed)
            if odd := [word for word in chosen if word not in found.all]:
                self._tell("In no row: {words}", words=", ".join(odd))
            many = sum(count for word, count in found.all.items() if word in chosen)
            total = sum(found.all.values())
            self._tell("{many} of {total} rows.", many=many, total=total)
            if (leaf == "blocks" or 0 < many < total) or self._keeps(leaf, many):
                break
        if leaf == "blocks":
            if chosen:
                self.draft.entries["blocks"].remove(entry)
                self.draft.entries["active"] = [{"from": entry["from"], "in": chosen + no}]
        elif not (is_true_if and chosen == offered):
            entry.pop("true_if", None)
            entry["in"] = chosen

    def _keeps(self, leaf: str, many: int) -> bool:
        """Say what all or none means, and tell whether that is meant."""
        if leaf == "resident":
            text = "Everybody would live here." if many else "Nobody would live here."
        elif many:
            return True
        else:
            text = "No card would count."
        self._tell(text)
        return self._yes("Is that meant?", default=False)

    def _show(self, path: str, found: survey.Words) -> None:
        click.echo(f"{path}:")
        for word, count in found.shown.items():
            click.echo(f"{count:>9}  {word or EMPTY}")
        if found.hidden:
            many, rows = len(found.hidden), sum(found.hidden.values())
            text = "{rows} rows have {many} other words, which are not shown: they may be personal"
            self._tell(text, rows=rows, many=many)

    def _written(self) -> str:
        """Return the file's whole text by the answers."""
        block = "" if self.system == FBS else self.draft.text(self.system)
        text = self.parts.text
        if not self.is_fetched:
            text = self.parts.edited(text, "sync.feed", self.feed)
        return with_source(text, block)

    def _look(self, text: str, file: Path) -> Look:
        config = self.parts.configured(text)
        policy, day = config.policy, system_clock(config).moment().latest_known.date()
        rows = read_rows(file, pin_length=policy.pin_length, rows_of=feed_rows(config))
        return look(rows, on=day, policy=policy)

    def _looked_at(self, file: Path) -> str | None:
        """Show the look; return the text where somebody says that it is right."""
        text = self._written()
        seen = self._look(text, file)
        click.echo()
        click.echo("\n".join(in_words(seen)))
        said = _against(seen)
        for where, what in said:
            click.echo(f"{where}: {self.parts.say(what)}", err=True)
        click.echo()
        return text if self._yes("Is that right?", default=not said) else None

    def _tell(self, text: str, **values: object) -> None:
        click.echo(self.parts.say(text).format(**values))

    def _typed(self, text: str, offered: str, **values: object) -> str:
        shown = self.parts.say(text).format(**values)
        return str(click.prompt(shown, default=offered or None)).strip()

    def _yes(self, text: str, *, default: bool) -> bool:
        offered = self.parts.say("yes" if default else "no")
        while (answer := YES_NO.get(self._typed(text, offered).lower())) is None:
            pass
        return answer


def _against(seen: Look) -> list[tuple[str, str]]:
    """Return what can't be meant, each with the key that it hangs on."""
    counts = seen.counts
    if not (many := counts["patrons"]):
        return [("source.map", "no row can be used")]
    said = []
    if not counts["resident"]:
        said.append(("source.map.resident", "nobody would live here"))
    if counts["blocked"] == many:
        said.append(("source.map.blocks", "everybody would be blocked"))
    if counts["without_identifier"] == many:
        said.append(("source.map.identifiers.card", "nobody would have a card"))
    if counts["without_birthday"] == many and counts["under_age"]:
        said.append(("source.map.birthday", "an age limit keeps out all who have no birthday"))
    elif not counts["would_get_in"]:
        said.append(("source.map", "nobody would get in"))
    return said


def _blank(leaf: str, *, is_flat: bool) -> Entry:
    """Return the verbs with which a field of another system begins."""
    made: Entry = {}
    if not is_flat and leaf not in ("patron_id", "resident", "active"):
        made["default"] = ""
    if leaf == "blocks":
        made["present"] = "D"
    return made


def _day(written: str) -> str:
    day = day_of(DAY, ("%d-%m-%Y",))
    return day.strftime(written) if day else ""


def _split(typed: str) -> list[str]:
    parts = next(csv.reader([typed], skipinitialspace=True), [])
    return ["" if part.strip() == EMPTY else part.strip() for part in parts]


def _joined(words: list[str]) -> str:
    return ", ".join(f'"{word}"' if "," in word else word or EMPTY for word in words)
