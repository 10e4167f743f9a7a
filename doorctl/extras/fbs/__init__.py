"""FBS (Cicero), asked over its CMS API, for ``lms.kind = "fbs"``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from doorctl.config.rules import ACCOUNT, LibraryKind
from doorctl.extras.extra import Extra

if TYPE_CHECKING:
    from doorctl.access.messages import LibrarySystem
    from doorctl.config.tables import Lms
    from doorctl.core.ports import Clock


def library(lms: Lms, _clock: Clock) -> LibrarySystem:
    """Return the client. KeyFileError: a password or certificate can't be read."""
    from doorctl.extras.fbs.client import FbsLibrary
    from doorctl.sources.library import password_in

    return FbsLibrary(lms, password_in(lms.password_file))


FBS = LibraryKind(
    kind="fbs",
    needed=("url", "agency", *ACCOUNT),
    schemes=("https", "http"),
    sample="https://cms.example/rest",
)

EXTRA = Extra(rules=(FBS,), library=library)
