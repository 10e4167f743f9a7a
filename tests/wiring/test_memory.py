from __future__ import annotations

import json
import subprocess
import sys

SWIPES = """
import json, re, threading
from doorctl.ops.process import return_large_blocks
from doorctl.core.masked import Identifier, IdentifierKind, InstallationKey
from doorctl.store.keys import ArgonSealer

def resident_kib():
    with open("/proc/self/status") as status:
        return int(re.search(r"VmRSS:\\s+(\\d+)", status.read())[1])

def swipe():
    sealer = ArgonSealer(InstallationKey(bytes(32)))
    for _ in range(3):
        sealer.stretch(Identifier(IdentifierKind.CARD, "3000001234"))

return_large_blocks()
before = resident_kib()
worker = threading.Thread(target=swipe)
worker.start()
worker.join()
print(json.dumps(resident_kib() - before))
"""

COLLECTOR = """
import gc, json, weakref
from doorctl.ops.process import spare_the_collector
class Loop: pass
loop = Loop()
loop.itself = loop
seen = weakref.ref(loop)
del loop
spare_the_collector()
frozen = gc.get_freeze_count() > 1000 > len(gc.get_objects())
print(json.dumps([seen() is None, frozen, gc.isenabled()]))
"""


DOOR = """
import json, sys
import doorctl.cli.processes
too_early = "asyncio" in sys.modules
from doorctl.ops.process import do_without_tls
do_without_tls()
import doorctl.wiring.door
print(json.dumps([too_early, "asyncio" in sys.modules, "_ssl" in sys.modules]))
"""

LOADED = """
import json, sys
import ssl
from doorctl.ops.process import do_without_tls
do_without_tls()
print(json.dumps(sys.modules["ssl"] is ssl))
"""

WEB = """
import json, sys
import doorctl.wiring.web
print(json.dumps(sorted(sys.modules)))
"""

NOT_WEBS = {
    "apscheduler",
    "authlib",
    "cryptography",
    "doorctl.doord.controller",
    "doorctl.doord.door_driver",
    "gpiozero",
    "holidays",
    "httpx2",
    "serial",
}
"""What only the door, the sender, or some branches' web processes need."""


def test_the_memory_of_a_swipe_is_given_back() -> None:
    """After swipes at the default cost the process holds none of Argon2's 19 MiB any more.

    Bug (benchmark): glibc kept Argon2's 19 MiB after every swipe: 61 MB instead of 42.
    """
    grown_kib = _told_by(SWIPES)

    assert isinstance(grown_kib, int)
    assert grown_kib < 5 * 1024


def test_the_collector_leaves_alone_what_lives_for_ever() -> None:
    """What the start made is collected once and then out of the collector's sight; it stays on."""
    assert _told_by(COLLECTOR) == [True, True, True]


def test_the_door_loads_no_tls() -> None:
    """It has no network; asyncio, which its libraries bring, does without where there is none.

    Bug (benchmark): the door, without a network, held asyncio's TLS: 1.2 MB; each purge left
    SQLite's cache: 1.4 MB.
    """
    assert _told_by(DOOR) == [False, True, False]


def test_tls_that_is_loaded_already_stays() -> None:
    """Whoever runs the door inside another program does not lose it."""
    assert _told_by(LOADED) is True


def test_the_web_process_loads_nothing_for_others() -> None:
    """What it does not use costs megabytes all the same."""
    loaded = _told_by(WEB)

    assert isinstance(loaded, list)
    assert NOT_WEBS & set(loaded) == set()


def _told_by(program: str) -> object:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    return json.loads(done.stdout)
