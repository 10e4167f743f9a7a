"""The one file that reaches into uvicorn, held against the uvicorn that is installed."""

from __future__ import annotations

import hashlib
import inspect
import textwrap
from typing import Final

import pytest
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

READ: Final = {
    H11Protocol: "c2573d455fed4ec2",
    RequestResponseCycle: "b9327fce724d5252",
    uvicorn.Server.startup: "61dd959a73fc3de8",
    uvicorn.Server.shutdown: "9f8a90ed456dcfee",
    uvicorn.Server.main_loop: "425d26add0e59678",
    uvicorn.Server.on_tick: "371ccecb27e5e5d4",
}
"""What `doorctl/web/serving.py` overrides or uses of it, by a digest of its text as it was read."""


@pytest.mark.parametrize("part", READ, ids=lambda part: part.__qualname__)
def test_uvicorn_inside_is_as_it_was_read(part: type | object) -> None:
    """Another release of it may count, close or answer otherwise, and nothing else would say so.

    Where this fails: read what has changed in that part, mend `ImpatientProtocol` and
    `Server.startup` if need be, run `tests/web/test_connections.py`, and then put the new digest
    here.
    """
    text = textwrap.dedent(inspect.getsource(part))  # type: ignore[arg-type]
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == READ[part]
