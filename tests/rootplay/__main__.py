"""``python -m tests.rootplay``: the service users play against root's commands."""

from __future__ import annotations

import argparse
import os
import random
import re
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.rootplay.inputs import answer_self_tests
from tests.rootplay.play import House, Play, played, plays, preload

INSIDE = "ROOTPLAY_INSIDE"

REACHABLE = """
set -e
mount --make-rprivate /
mount -t tmpfs none /mnt
number=0
for directory in "$@"; do
  setpriv --reuid 65534 --regid 65534 --clear-groups test -r "$directory/." && continue
  number=$((number + 1))
  mkdir "/mnt/$number"
  mount --bind "$directory" "/mnt/$number"
  printf '%s\n' "$directory" >>/mnt/moved
done
[ -e /mnt/moved ] || printf '' >/mnt/moved
cut -d / -f 2 /mnt/moved | sort -u | while read -r top; do
  mount -t tmpfs -o mode=1777 none "/$top"
done
number=0
while read -r directory; do
  number=$((number + 1))
  mkdir -p "$directory"
  mount --move "/mnt/$number" "$directory"
done </mnt/moved
cd "$1"
"""
"""Lets everybody read Python where it lies under root's home: a mount of this process alone."""


def main() -> int:
    """Play and tell; exit code 1 if anything is wrong."""
    arguments = argparse.ArgumentParser(prog="python -m tests.rootplay")
    arguments.add_argument("--some", type=int, help="so many plays instead of all")
    arguments.add_argument("--seed", type=int, default=1, help="draws them")
    arguments.add_argument("--of", default="", help="only plays whose line this matches")
    asked = arguments.parse_args()
    if os.geteuid() != 0:
        sys.stderr.write("only root can be played against\n")
        return 2
    if not os.environ.get(INSIDE):
        return with_own_mounts("tests.rootplay")
    chosen = [play for play in plays() if re.search(asked.of, str(play))]
    if asked.some is not None:
        chosen = random.Random(asked.seed).sample(chosen, min(asked.some, len(chosen)))  # noqa: S311
    return _told(chosen, asked.seed)


def with_own_mounts(module: str) -> int:
    """Run a module with our arguments where every user can read Python; return its exit code."""
    needed = dict.fromkeys((str(Path.cwd()), sys.base_prefix, sys.prefix))
    played = shlex.join([sys.executable, "-m", module, *sys.argv[1:]])
    program = f"{REACHABLE}\nexec {played}"
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", program, "sh", *needed],
        env={**os.environ, INSIDE: "1"},
        check=False,
    )
    return done.returncode


def _told(chosen: list[Play], seed: int) -> int:
    preload()
    began_s, wrong = time.monotonic(), []
    with tempfile.TemporaryDirectory(prefix="rootplay-") as directory:
        house = House(Path(directory))
        end = answer_self_tests(house.base)
        for play in chosen:
            found = played(house, play)
            sys.stdout.write("".join(f"{line}\n" for line in found))
            sys.stdout.flush()
            wrong += found
        end()
    took_s = time.monotonic() - began_s
    sys.stdout.write(f"{len(chosen)} plays, {len(wrong)} wrong, seed {seed}, {took_s:.0f} s\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
