"""A disk that is as slow as a test wants, laid over a door: each sync takes so many seconds."""

from __future__ import annotations

import struct
from math import inf
from pathlib import Path

from tests.e2e.conftest import Loaded
from tests.e2e.door import Door
from tests.fakes import preload

SLOW_C = """
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
static volatile double *takes;
static double now(void) {
    struct timespec at;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &at);
    return at.tv_sec + at.tv_nsec / 1e9;
}
static void wait_for_disk(void) {
    struct timespec moment = {0, 10000000};
    double began = now();
    char *name = getenv("SYNC_TAKES");
    if (!takes && name)
        takes = mmap(0, sizeof *takes, PROT_READ, MAP_SHARED, open(name, O_RDONLY), 0);
    while (takes && now() - began < *takes) nanosleep(&moment, 0);
}
int fsync(int file) { wait_for_disk(); return syscall(SYS_fsync, file); }
int fdatasync(int file) { wait_for_disk(); return syscall(SYS_fdatasync, file); }
"""

FOR_EVER = inf


def built(directory: Path) -> Path:
    """Build what is laid over a process, so that its syncs are ours to hold."""
    return preload.built(directory, "slow", SLOW_C)


class SlowDoor(Door):
    """A door whose every sync takes as long as it is told, from the sync under way on.

    `like`: the door to take directory and patrons from; `library`: what `built` returned.
    """

    def __init__(self, like: Door, loaded: Loaded, library: Path) -> None:
        super().__init__(like.directory, loaded.config, pins=loaded.pins)
        self._library = library
        self._takes = self.directory / "sync-takes"
        self._takes.write_bytes(struct.pack("@d", 0.0))

    def sync_takes(self, seconds: float) -> None:
        """Set how long."""
        with self._takes.open("r+b") as file:
            file.write(struct.pack("@d", seconds))

    def command(self, *words: str, tethered: bool = False) -> list[str]:
        """Return the command line of a process whose disk it is."""
        over = (f"LD_PRELOAD={self._library}", f"SYNC_TAKES={self._takes}")
        return ["env", *over, *super().command(*words, tethered=tethered)]
