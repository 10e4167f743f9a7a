"""The web process: pushes in, staff's pages, the screen at the door, its regular jobs."""
