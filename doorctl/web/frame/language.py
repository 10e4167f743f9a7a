"""Catalogues: the pages' texts in each language; English is in the pages themselves.

A language is a folder of `.po` files, or one file that was dropped in beside them (`uk.po`). A text
that it does not translate is shown in English, and so is one whose `{names}` are not those of the
English one, for it could not be filled in. English has a catalogue too: what a page says in place
of a command's sentence.
"""

from __future__ import annotations

import gettext
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from string import Formatter
from types import MappingProxyType
from typing import Any, Final

import polib
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from doorctl.core.errors import ConfigError, Problem

OWN: Final = Path(__file__).parent.parent / "locale"
"""The catalogues that come with doorctl: one folder a language, one file a page."""

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


def languages(first: str = DANISH, more: Path | None = None) -> Languages:
    """Load every catalogue; `first` is the code of the branch's own language.

    `more` is a directory with a `.po` file for each further language, named after its code; None or
    an absent one for none.

    Raises:
        ConfigError: a file there is no catalogue, or its plural rule makes no sense.
    """
    dropped = sorted(more.glob("*.po")) if more is not None and more.is_dir() else []
    files = {path.name: sorted(path.glob("*.po")) for path in OWN.iterdir() if path.is_dir()}
    for path in dropped:
        files.setdefault(path.stem, []).append(path)
    found = {code: _language(code, paths) for code, paths in files.items()}
    for code in found.keys() - {ENGLISH}:
        found[code].words.add_fallback(found[ENGLISH].words)
    order = sorted(found, key=lambda code: (code != first, code not in (DANISH, ENGLISH), code))
    return Languages(MappingProxyType({code: found[code] for code in order}))


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
        return Language(code, name, gettext.GNUTranslations(BytesIO(words.to_binary())))
    except (ValueError, IndexError) as error:
        unfit = Problem(f"{code}.po", "has a line Plural-Forms that gettext can't read")
        raise ConfigError("web.catalogues", (unfit,)) from error


def _can_be_filled_in(entry: polib.POEntry) -> bool:
    said = (entry.msgstr, *entry.msgstr_plural.values())
    try:
        known = _names(entry.msgid) | _names(entry.msgid_plural)
        return all(_names(text) <= known for text in said)
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


# Templates and the static files that come with doorctl; what is filled in is escaped.

HERE: Final = Path(__file__).parent.parent
STATIC: Final = HERE / "static"

A_DAY: Final = "public, max-age=86400"
FOR_EVER: Final = "public, max-age=31536000, immutable"


class Templates:
    """The pages' templates; each is compiled once, at its first use or all before, and kept."""

    def __init__(self, directory: Path = HERE / "templates") -> None:
        self._environment = Environment(
            loader=FileSystemLoader(directory),
            autoescape=True,
            undefined=StrictUndefined,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals["static"] = address_of

    def compile_all(self) -> None:
        """Compile those of a branch, so that no page waits for it later, 0.1 s each.

        The compiler's memory can be given back then: 2.3 MB (measured). On any thread.
        """
        for name in self._environment.list_templates(filter_func=_is_of_a_branch):
            self._environment.get_template(name)

    def render(self, name: str, context: dict[str, Any]) -> str:
        """Return a page; a name that is missing from `context` is an error of ours."""
        return self._environment.get_template(name).render(context)


def _is_of_a_branch(name: str) -> bool:
    return not name.startswith("demo")


@cache
def address_of(name: str) -> str:
    """Return the address of a file of `static/`; it changes with the file."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:8]
    return f"/static/{name}?v={digest}"


class StaticPages(StaticFiles):
    """The files of `static/`; an answer to an :func:`address_of` may be kept for ever."""

    def __init__(self) -> None:
        super().__init__(directory=STATIC)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return a file."""
        response = await super().get_response(path, scope)
        versioned = scope["query_string"].startswith(b"v=")
        response.headers["Cache-Control"] = FOR_EVER if versioned else A_DAY
        if response.media_type == "image/svg+xml":
            response.headers["Content-Type"] = f"{response.media_type}; charset=utf-8"
        return response
