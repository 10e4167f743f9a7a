"""Alarms by webhook, to a real HTTP server: signed, believed, never redirected."""

from __future__ import annotations

import hashlib
import hmac
import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from doorctl.core.masked import Masked
from doorctl.core.ports import NotSentError
from doorctl.notices.ways import WebhookSink
from tests.notices.samples import BRANCH, a_notice
from tests.sources.branch_server import Script, serving

SECRET = "a-shared-Secret~1"


@contextmanager
def sink(url: str, authority: Path | None = None, **limits: float) -> Iterator[WebhookSink]:
    """Make a sink that believes one authority, and close it."""
    context = ssl.create_default_context(cafile=authority)
    made = WebhookSink(url, Masked(SECRET), context, **limits)
    try:
        yield made
    finally:
        made.close()


def test_the_document_says_all_and_is_signed() -> None:
    """Whoever has the secret can tell that it is ours and whole; a second try has the same id."""
    script = Script(status=204, body=b"")
    notice = a_notice("door_held_cleared", "closed again", times=2)
    with serving(script) as port, sink(f"http://127.0.0.1:{port}/doorctl") as way:
        way.send(notice)
        way.send(notice)

    (first, second) = script.requests
    method, path, body, headers = first
    assert (method, path, body) == ("POST", "/doorctl", second[2])
    assert headers["Content-Type"] == "application/json"
    wanted = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    assert headers["X-Doorctl-Signature"] == f"sha256={wanted}"
    assert json.loads(body) == {
        "format": "doorctl-alarm/1",
        "id": notice.id,
        "branch": BRANCH,
        "kind": "door_held_cleared",
        "urgency": "note",
        "at": "2026-03-02T19:04:05+01:00",
        "clock": "trusted",
        "times": 2,
        "clears": "door_held",
        "why": "closed again",
        "means": {"da": "Døren er lukket igen.", "en": "The door is closed again."},
        "do": {"da": "Der skal ikke gøres noget.", "en": "Do nothing."},
    }


@pytest.mark.parametrize("status", [301, 307, 400, 401, 404, 429, 500, 503])
def test_anything_but_success_is_not_sent(status: int) -> None:
    """A redirect is not followed: an alarm goes where the configuration says, or nowhere."""
    script = Script(status=status, headers={"Location": "/elsewhere"})
    with (
        serving(script) as port,
        sink(f"http://127.0.0.1:{port}/") as way,
        pytest.raises(NotSentError, match=f"HTTP status {status}"),
    ):
        way.send(a_notice())

    assert [path for _, path, _, _ in script.requests] == ["/"]


def test_the_secret_can_not_be_printed() -> None:
    """It stands in no message and in no representation."""
    with sink("http://127.0.0.1:9") as way:
        assert SECRET not in repr(vars(way))
