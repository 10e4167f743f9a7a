"""Serial lines, pins and commands; nothing here decides anything."""
