"""The machine around the daemon: clocks, journal, scheduler, supervisor."""
