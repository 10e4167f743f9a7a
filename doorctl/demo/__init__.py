"""A narrated evening at the door, played on the real daemon."""
