"""A question that comes from another user, as the kernel says: root may say who sends."""

from __future__ import annotations

import json
import os
import socket
import struct
from pathlib import Path
from typing import Any

from tests.fakes.waiting import LIMIT_S

NOBODY = 65534


def ask_as(uid: int, path: Path, question: dict[str, Any]) -> dict[str, Any]:
    """Ask on a process's socket as a user; only root can."""
    sender = struct.pack("iII", os.getpid(), uid, uid)
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(LIMIT_S)
        line.connect(str(path))
        credentials = [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, sender)]
        line.sendmsg([json.dumps(question).encode() + b"\n"], credentials)
        with line.makefile("rb") as answer:
            answered: dict[str, Any] = json.loads(answer.readline())
    return answered
