"""The schema as a list of keys: what is allowed in words, the default, and why.

Messages, the example file's comments and the documentation are all made of these.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple, get_args, get_type_hints

from msgspec import Meta, inspect

from doorctl.config.schema import TABLES
from doorctl.config.wording import shown

REQUIRED: Final = dataclasses.MISSING


@dataclasses.dataclass(frozen=True, slots=True)
class Key:
    """One key of the schema; `default` is `REQUIRED` where there is none."""

    table: str
    leaf: str
    annotation: Any
    default: Any

    @property
    def name(self) -> str:
        """The full key, such as ``door.release_s``."""
        return f"{self.table}.{self.leaf}"

    @property
    def meta(self) -> Meta:
        """The schema's description of it."""
        metas = (one for one in get_args(self.annotation) if isinstance(one, Meta))
        return next(one for one in metas if one.description)

    @property
    def why(self) -> str:
        """Its unit and reason."""
        return self.meta.description or ""

    @property
    def allowed(self) -> str:
        """What may stand there, in words."""
        told = (self.meta.extra or {}).get("allowed")
        return told or _allowed(inspect.type_info(self.annotation))

    @property
    def example(self) -> str:
        """One right value, as TOML."""
        return shown(self.meta.examples[0] if self.meta.examples else self.default)

    @property
    def is_text(self) -> bool:
        """Whether it is written as a text in quotes."""
        value = self.meta.examples[0] if self.meta.examples else self.default
        return shown(value).startswith('"')

    @property
    def may_be_blank(self) -> bool:
        """Whether an empty text says what the default says."""
        return self.default in ("", Path())


class KeyDescription(NamedTuple):
    """A key as documentation tells it; `default` is TOML, ``required`` or ``absent``."""

    key: str
    type: str
    default: str
    why: str


def describe() -> list[KeyDescription]:
    """Return every key in the order of ``config/doorctl.toml``."""
    return [
        KeyDescription(one.name, one.allowed, _default(one.default), one.why)
        for table in keys().values()
        for one in table.values()
    ]


@cache
def keys() -> Mapping[str, Mapping[str, Key]]:
    """Return table, such as ``web.tls`` -> last part of a key -> key, in the schema's order."""
    return MappingProxyType({name: section_keys(name, section) for name, section in TABLES.items()})


def section_keys(name: str, section: type[Any]) -> Mapping[str, Key]:
    """Return last part of a key -> key of one section that stands at `name`."""
    hints = get_type_hints(section, include_extras=True)
    return {
        field.name: Key(name, field.name, hints[field.name], field.default)
        for field in dataclasses.fields(section)
        if f"{name}.{field.name}" not in TABLES
    }


def _default(value: object) -> str:
    if value is REQUIRED:
        return "required"
    return "absent" if value is None else shown(value)


def _allowed(info: inspect.Type) -> str:
    match info:
        case inspect.Metadata(type=inner) | inspect.UnionType(types=(inner, *_)):
            return _allowed(inner)
        case inspect.LiteralType(values=values):
            return f"one of {', '.join(shown(value) for value in values)}"
        case inspect.IntType(ge=lowest, le=highest):
            return f"a whole number from {lowest} to {highest}"
        case inspect.FloatType(ge=None, gt=above, le=highest):
            return f"a number above {above:g}, at most {highest:g}"
        case inspect.FloatType(ge=lowest, le=highest):
            return f"a number from {lowest:g} to {highest:g}"
    return "true or false" if isinstance(info, inspect.BoolType) else "a path"
