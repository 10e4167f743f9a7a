"""Catalogues: what pages, letters and alarms say in each language; English is in the code itself.

A language is a folder of `.po` files, or one file that was dropped in beside them (`uk.po`). A text
that it does not translate is shown in English, and so is one whose `{names}` are not those of the
English one, for it could not be filled in. English has a catalogue too: what a page says in place
of a command's sentence.
"""

from __future__ import annotations

import gettext
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from string import Formatter
from types import MappingProxyType
from typing import Final

import polib

from doorctl.core.errors import ConfigError, Problem

OWN: Final = Path(__file__).parent / "locale"
"""The catalogues that come with doorctl: one folder a language, one file a page."""

EXTRAS: Final = Path(__file__).parents[1] / "extras"
"""Where each extra has its own, named by the language."""

ENGLISH = "en"
DANISH = "da"

MOST_BYTES = 1024 * 1024
"""More is no catalogue."""


@dataclass(frozen=True, slots=True)
class Language:
    """One language: its code as in HTML's `lang`, its own name, and its catalogue."""

    code: str
    name: str
    words: gettext.NullTranslations


@dataclass(frozen=True, slots=True)
class Languages:
    """Every language that can be chosen, by code: the branch's own first, in the order offered."""

    known: Mapping[str, Language]

    @property
    def first(self) -> Language:
        """The language until another is chosen."""
        return next(iter(self.known.values()))

    def chosen(self, code: str | None) -> Language:
        """Return a language by its code; the first one where it is not known."""
        return self.known.get(code or "", self.first)

    def wanted(self, accepted: str) -> str | None:
        """Return the code of the first known language of an ``Accept-Language``; None for none.

        Browsers list languages in their user's order, so weights are not looked at.
        """
        tags = (tag.split(";")[0].split("-")[0].strip().lower() for tag in accepted.split(","))
        return next((tag for tag in tags if tag in self.known), None)


def further(directory: Path) -> list[Path]:
    """Return the catalogue of each further language, named after its code; `Path()` has none."""
    return sorted(directory.glob("*.po")) if directory != Path() else []


def languages(first: str = DANISH, more: Path = Path()) -> Languages:
    """Load every catalogue; `first` is the code of the branch's own language, `more` a directory.

    ConfigError: a file there is no catalogue, or its plural rule makes no sense.
    """
    loaded = {path.name: own(path.name) for path in OWN.iterdir() if path.is_dir()}
    for path in further(more):
        loaded[path.stem] = _language(path.stem, (*_files(path.stem), path))
    order = sorted(loaded, key=lambda code: (code != first, code not in (DANISH, ENGLISH), code))
    return Languages(MappingProxyType({code: loaded[code] for code in order}))


@cache
def own(code: str) -> Language:
    """Return a language that comes with doorctl; it is read once. ConfigError: it can't be read."""
    return _language(code, _files(code))


def _files(code: str) -> list[Path]:
    return [*sorted((OWN / code).glob("*.po")), *sorted(EXTRAS.glob(f"*/{code}.po"))]


def _language(code: str, paths: Iterable[Path]) -> Language:
    words = polib.POFile(check_for_duplicates=False)
    name = code
    for path in paths:
        catalogue = _read(path)
        words.metadata.update(catalogue.metadata)
        name = catalogue.metadata.get("Language-Name", name)
        words.extend(filter(_can_be_filled_in, catalogue.translated_entries()))
    # They were read as that, whatever their heads say.
    words.metadata["Content-Type"] = "text/plain; charset=UTF-8"
    try:
        read = gettext.GNUTranslations(BytesIO(words.to_binary()))
    except (ValueError, IndexError) as error:
        unfit = Problem(f"{code}.po", "has a line Plural-Forms that gettext can't read")
        raise ConfigError("web.catalogues", (unfit,)) from error
    if code != ENGLISH:
        read.add_fallback(own(ENGLISH).words)
    return Language(code, name, read)


def _can_be_filled_in(entry: polib.POEntry) -> bool:
    translations = (entry.msgstr, *entry.msgstr_plural.values())
    try:
        known = _names(entry.msgid) | _names(entry.msgid_plural)
        return all(_names(text) <= known for text in translations)
    except ValueError:
        return False


def _names(text: str) -> set[str | None]:
    """Return the names in braces; raises ValueError where there is anything else in them."""
    places = [place for place in Formatter().parse(text) if place[1] is not None]
    if any(form or conversion for _, _, form, conversion in places):
        raise ValueError(text)
    return {name for _, name, _, _ in places}


def _read(path: Path) -> polib.POFile:
    unfit = Problem(path.name, "is no catalogue of gettext (.po, UTF-8, at most 1 MB)")
    try:
        if path.stat().st_size <= MOST_BYTES:
            return polib.pofile(str(path), encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ConfigError(str(path.parent), (unfit,)) from error
    raise ConfigError(str(path.parent), (unfit,))
