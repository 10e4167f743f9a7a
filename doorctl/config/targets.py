"""The branches of a sender: each table by itself, then against the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from doorctl.config.keys import section_keys
from doorctl.config.places import placed_file
from doorctl.config.sections import check_table
from doorctl.config.sync import Target
from doorctl.config.wording import shown, shown_key
from doorctl.errors import Problem

NAME = "sync.targets"
FILES = ("ca_file", "certificate_file", "key_file")


def read_targets(
    values: Mapping[str, Any], base: Path, environment: Mapping[str, str]
) -> tuple[dict[str, Any], list[Problem]]:
    """Turn the written tables at ``sync.targets`` into a tuple of `Target`.

    Args:
        values: what is right by itself, by full key; the targets may be missing.
        base: absolute directory from which relative paths count.
        environment: as for `placed`.
    """
    if NAME not in values:
        return dict(values), []
    problems: list[Problem] = []
    targets: list[Target] = []
    for place, written in enumerate(values[NAME]):
        found, wrong = _read(f"{NAME}[{place}]", written)
        problems += wrong
        if not wrong:
            files = {leaf: placed_file(found[leaf], base, environment) for leaf in FILES}
            targets.append(Target(**{**found, **files}))
    problems += _between(targets)
    return {**values, NAME: tuple(targets)}, problems


def _read(name: str, written: Mapping[str, object]) -> tuple[dict[str, Any], list[Problem]]:
    known = section_keys(name, Target)
    values: dict[str, Any] = {}
    problems = list(check_table(known, written, values))
    problems += [
        Problem(f"{name}.{shown_key(leaf)}", f"unknown key; there are {', '.join(known)}")
        for leaf in written
        if leaf not in known
    ]
    found = {full.removeprefix(f"{name}."): value for full, value in values.items()}
    return found, problems or list(_within(name, Target(**found)))


def _within(name: str, target: Target) -> Iterator[Problem]:
    files = {leaf: getattr(target, leaf) != Path() for leaf in FILES}
    if any(files.values()) and not target.url.startswith("https:"):
        yield Problem(f"{name}.url", f"found {shown(target.url)} beside certificates; give https")
    pair = ("certificate_file", "key_file")
    for leaf, other in (pair, pair[::-1]):
        if files[other] and not files[leaf]:
            yield Problem(f"{name}.{leaf}", f"missing beside {other}; give its path")


def _between(targets: Sequence[Target]) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for place, target in enumerate(targets):
        if first.setdefault(target.branch, place) != place:
            yield Problem(
                f"{NAME}[{place}].branch",
                f"found {shown(target.branch)}, which is another target's too; give each one's own",
            )
