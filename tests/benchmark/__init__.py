"""How fast and how small the door is, each figure beside its floor: ``python -m tests.benchmark``."""
