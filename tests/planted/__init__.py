"""Faults planted into a copy of the source, each for one harness to catch."""
