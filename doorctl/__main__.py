"""The command ``doorctl``, and ``python -m doorctl``.

Monitoring asks ``doorctl check`` each minute: the door says the whole line, so nothing is loaded.
"""

from __future__ import annotations

import os
import socket
import sys
from contextlib import suppress

CHECK_SOCKET = "/run/doorctl/check.sock"
"""Where the packaged door answers; see `doorctl.lookup.health`."""


def main() -> None:
    """Run the command line."""
    if sys.argv[1:] == ["check"] and "DOORCTL_CONFIG" not in os.environ:
        check_quickly(CHECK_SOCKET)
    from doorctl.cli.app import main as commands  # noqa: PLC0415 - `check` does without

    commands()


def check_quickly(path: str) -> None:
    """Print what the door says of itself and exit; return where it says nothing in two seconds."""
    answer = b""
    with suppress(OSError), socket.socket(socket.AF_UNIX) as line:
        line.settimeout(2.0)
        line.connect(path)
        line.sendall(b'{"ask":"check"}\n')
        with line.makefile("rb") as answers:
            answer = answers.readline()
    import json  # noqa: PLC0415 - not before a door has answered

    with suppress(ValueError, KeyError):
        said = json.loads(answer)
        sys.stdout.write(f"{said['line']}\n")
        raise SystemExit(int(said["health"]))


if __name__ == "__main__":
    main()
