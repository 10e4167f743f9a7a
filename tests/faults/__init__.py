"""A process killed, or its disk failing, at each of its writes: ``python -m tests.faults``."""
