"""A file system in memory for a guest: the host's files that a program looks at, and no others."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.faults.tracing import CHECKOUT, steady
from tests.powercut.kernel import Kernel
from tests.powercut.tools import tool

LOADER = Path("/lib64/ld-linux-x86-64.so.2")
"""The kernel opens it itself for every program, so no trace names it."""

_FILE_CALLS = re.compile(r'^\d+ +\w+\((?:[^"(]*)"(?P<path>/[^"]*)".* = (?P<result>-?\d+)')
_NO_FILES = frozenset({("proc",), ("sys",), ("dev",)})


def files_of(command: Sequence[str]) -> set[Path]:
    """Run a command and return every file, link and directory of the host that it looked at."""
    with tempfile.TemporaryDirectory(prefix="doorctl-files-") as work:
        trace = Path(work) / "trace"
        watch = ["strace", "-f", "-qq", "-s", "4096", "-e", "trace=%file", "-o", str(trace)]
        done = subprocess.run(
            [*watch, "--", *command], capture_output=True, check=False, cwd=CHECKOUT, env=steady()
        )
        if done.returncode:
            raise RuntimeError(f"{command}: {done.stderr.decode(errors='replace')}")
        lines = trace.read_text(encoding="utf-8", errors="replace").splitlines()
    named = (_FILE_CALLS.match(line) for line in lines)
    return {Path(found["path"]) for found in named if found and int(found["result"]) >= 0}


def initramfs(into: Path, seen: Iterable[Path], kernel: Kernel, init: str) -> None:
    """Pack files of the host, at their own places, and what boots them.

    Args:
        into: the file that is made.
        seen: files, links and directories; what the kernel itself shows as files is left out.
        kernel: whose modules go with it.
        init: the first process's script.
    """
    with tempfile.TemporaryDirectory(prefix="doorctl-guest-") as name:
        tree = Path(name)
        for path in seen:
            _take_over(path, tree)
        for module in kernel.modules:
            shutil.copy2(module, tree)
        _take_over(LOADER, tree)
        (tree / "bin").mkdir(exist_ok=True)
        shutil.copy2(tool("busybox"), tree / "bin" / "busybox")
        (tree / "init").write_text(init, encoding="utf-8")
        (tree / "init").chmod(0o755)
        listed = subprocess.run(["find", "."], capture_output=True, check=True, cwd=tree).stdout
        with into.open("wb") as packed:
            subprocess.run(
                [tool("cpio"), "-o", "-H", "newc", "--quiet"],
                input=listed,
                stdout=packed,
                check=True,
                cwd=tree,
            )


def _take_over(path: Path, tree: Path) -> None:
    if path.parts[1:2] in _NO_FILES:
        return
    for parent in [*reversed(path.parents), path]:
        copy = tree / parent.relative_to("/")
        if copy.is_symlink() or copy.exists() or not (parent.is_symlink() or parent.exists()):
            continue
        if parent.is_symlink():
            copy.symlink_to(parent.readlink())
            _take_over(parent.parent.resolve() / parent.readlink(), tree)
        elif parent.is_dir():
            copy.mkdir()
        elif parent.is_file():
            shutil.copy2(parent, copy)
