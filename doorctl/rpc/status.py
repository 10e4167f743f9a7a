"""Questions about how the door is; ``doorctl check`` loads little more than this."""

from __future__ import annotations

from typing import Any

import msgspec

from doorctl.rpc.question import Askers, Nothing, Question

STATUS_LIMIT_S = 2.0
"""Longest wait for a door that decides; a healthy one answers in milliseconds."""

TEST_LIMIT_S = 30.0
"""Longest wait for the door's own self-test: the worker may be in the middle of a purge."""


class CheckLine(msgspec.Struct, frozen=True):
    """The exit code of a monitoring plugin, and its line."""

    health: int
    line: str


class Finding(msgspec.Struct, frozen=True):
    """What one check found; it holds no personal data. `do` is empty where all is well."""

    check: str
    ok: bool
    what: str = ""
    do: str = ""


class SelfTest(msgspec.Struct, frozen=True):
    """What all checks found."""

    ok: bool
    findings: tuple[Finding, ...]


Status = dict[str, Any]
"""What the door says of itself, as ``doorctl status --json`` prints it; an older one says less."""

STATUS = Question("status", Nothing, Status, "door", STATUS_LIMIT_S)
SELF_TEST = Question("selftest", Nothing, SelfTest, "door", TEST_LIMIT_S, whole=False)
CHECK = Question("check", Nothing, CheckLine, "door", STATUS_LIMIT_S, Askers.EVERYBODY)
