from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.soak.disk import LIMIT_BYTES, SmallFiles

WRITER = """
import os, sys
for line in sys.stdin:
    try:
        with open(sys.argv[1], "wb", buffering=0) as file:
            written = file.write(bytes(int(line)))
            while written < int(line):
                written += file.write(bytes(int(line) - written))
        print("written", flush=True)
    except OSError as error:
        print(os.strerror(error.errno), flush=True)
"""


def test_where_nothing_can_be_mounted_a_limit_stands_for_the_full_disk(tmp_path: Path) -> None:
    """A process that is running can write nothing more, and after a while can again."""
    command = [sys.executable, "-c", WRITER, str(tmp_path / "file")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as one:

        def answer() -> str:
            assert one.stdin is not None
            assert one.stdout is not None
            one.stdin.write(f"{4 * LIMIT_BYTES}\n")
            one.stdin.flush()
            return one.stdout.readline().strip()

        disk = SmallFiles([one.pid])
        assert answer() == "written"
        disk.fill()
        assert answer() == "File too large"
        disk.free()
        assert answer() == "written"
