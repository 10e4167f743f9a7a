from __future__ import annotations

import resource
import signal
from pathlib import Path

import pytest

from doorctl.store.new_file import create_private


def test_what_can_not_be_written_leaves_no_file(tmp_path: Path) -> None:
    """Half a key would be refused as a key and kept by the next init."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            create_private(tmp_path / "installation.key", bytes(32))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)

    assert list(tmp_path.iterdir()) == []
