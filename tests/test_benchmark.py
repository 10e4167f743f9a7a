from __future__ import annotations

import json
from pathlib import Path

from tests.benchmark import machine
from tests.benchmark.figures import Figure, Spread
from tests.benchmark.parts import PARTS, measured
from tests.benchmark.plan import SMALLEST
from tests.benchmark.table import as_json, as_table
