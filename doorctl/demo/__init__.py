"""The virtual door and an evening at it, played on the real processes."""
