"""All planted faults; each stands in the file of the room whose rule it breaks."""

from __future__ import annotations

from tests.planted.door import DOOR_FAULTS
from tests.planted.machine import MACHINE_FAULTS
from tests.planted.store import STORE_FAULTS
from tests.planted.web import WEB_FAULTS

FAULTS = (*DOOR_FAULTS, *STORE_FAULTS, *MACHINE_FAULTS, *WEB_FAULTS)
