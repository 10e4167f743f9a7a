"""What is held of a person as files to hand out; a browser stores them and does not open them."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Final

from starlette.responses import Response

from doorctl.privacy.subject_export import Export
from doorctl.privacy.subject_page import page

SANDBOX: Final = "sandbox; default-src 'none'; style-src 'unsafe-inline'"
"""Were the page opened here all the same: no script, no form, nothing loaded, no session."""


def as_json(export: Export, branch: str, at: datetime) -> Response:
    """Return the file for scripts, as `doorctl subject export --json` has it.

    Args:
        export: what is held.
        branch: the branch's id.
        at: now, in the branch's time zone.
    """
    assert at.tzinfo is not None  # noqa: S101 - a branch's time is aware
    about = {"branch": branch, "at": at.isoformat(timespec="seconds")}
    text = json.dumps({**about, **export.as_dict(at.tzinfo)}, ensure_ascii=False)
    return _file(text, "application/json", f"doorctl-{at:%Y-%m-%d}.json")


def as_page(export: Export, branch: str, at: datetime) -> Response:
    """Return the page for the person, in Danish; as :func:`as_json`, but `branch` is its name."""
    assert at.tzinfo is not None  # noqa: S101 - as above
    text = page(export, branch=branch, at=at, zone=at.tzinfo, language="da")
    return _file(text, "text/html", f"oplysninger-{at:%Y-%m-%d}.html")


def _file(text: str, kind: str, name: str) -> Response:
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "Content-Security-Policy": SANDBOX,
    }
    return Response(text, media_type=kind, headers=headers)
