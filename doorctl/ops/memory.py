"""How the processes keep their memory small and their answers prompt."""

from __future__ import annotations

import ctypes
import gc
import sys

M_MMAP_THRESHOLD = -3
"""glibc's number for "blocks of this size and more are given back at once" (malloc.h)."""

M_ARENA_MAX = -8
"""glibc's number for "at most so many heaps": a thread that gets one keeps what it needed."""

LARGE_BLOCK_BYTES = 4 * 1024 * 1024
"""Less than Argon2's 19 MiB, more than anything else that the door asks for."""


def _of_glibc(name: str, *numbers: int) -> None:
    """Call a function that another C library may lack."""
    if (found := getattr(ctypes.CDLL(None), name, None)) is not None:
        found(*numbers)


def return_large_blocks() -> None:
    """Have the C library give Argon2's memory back after each swipe.

    glibc keeps it once it has seen such a block come and go: 19 MB more resident
    (measured). A C library without ``mallopt`` does as it likes.
    """
    _of_glibc("mallopt", M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES)


def share_one_heap() -> None:
    """Have all threads take their memory from one heap, as early as can be.

    A dozen threads that hardly work would each keep a heap of their own: 3 MB of web, and 1.3 MB
    of a door that has purged a month's visits (measured).
    """
    _of_glibc("mallopt", M_ARENA_MAX, 1)


def do_without_tls() -> None:
    """Keep TLS out of a process that has no network; call it before asyncio is imported.

    APScheduler and structlog bring asyncio, which takes TLS along where there is any: 1.2 MB
    (measured). Does nothing where it is loaded already; an import of it fails from then on.
    """
    sys.modules.setdefault("ssl", None)  # type: ignore[arg-type]


def spare_the_collector() -> None:
    """Collect now, and exempt all that is alive from later collections: some 40 000 objects.

    A full collection over them takes 15 to 40 ms (measured), and nothing keeps one from coming
    while a patron stands at the door. Memory that the imports have freed is given back: 0.5 MB.
    Call it again once many of these objects are gone.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    _of_glibc("malloc_trim", 0)
