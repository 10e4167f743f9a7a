from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile(
    "busy",
    parent=settings.default,
    # How long an example takes is the machine's affair; what is slow stands in the benchmark.
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("busy")
