"""How fast and how small the door is, beside the floors: ``python -m tests.benchmark``."""
