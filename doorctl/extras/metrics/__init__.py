"""Figures for Prometheus at ``/metrics``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from doorctl.config.tables import key
from doorctl.extras.extra import Extra, PageParts

if TYPE_CHECKING:
    from starlette.routing import BaseRoute


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """Who gets figures; an empty path for nobody."""

    token_file: Path = key(Path(), example="/etc/doorctl/metrics.token")


def pages(parts: PageParts) -> Iterable[BaseRoute]:
    """Return the address of the figures. Raises KeyFileError: the token can't be read."""
    from doorctl.core.asking import read_password
    from doorctl.extras.metrics.figures import Figures

    (metrics,) = parts.app.config.all_of(Metrics)
    known = metrics.token_file != Path()
    token = read_password(metrics.token_file).reveal() if known else None
    return Figures(parts.app, parts.frame.pool, parts.alarms, token).routes()


EXTRA = Extra(section=Metrics, pages=pages)
