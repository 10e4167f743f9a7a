"""The door process: its loop, the door itself, what is prepared while the patron types."""
