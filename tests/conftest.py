from __future__ import annotations

import signal

from hypothesis import HealthCheck, settings

settings.register_profile(
    "busy",
    parent=settings.default,
    # How long an example takes is the machine's affair; what is slow stands in the benchmark.
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("busy")

# A shell that starts the tests in its background has them ignore Ctrl-C, and all that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
