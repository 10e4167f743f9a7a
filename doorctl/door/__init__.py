"""The door leaf's side: relay and lamps as state machines whose deadlines are state; no I/O."""
