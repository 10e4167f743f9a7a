"""Faults planted into a copy of the source, each to be caught by the harness that is meant for it."""
