"""Serial lines and pins; nothing here decides anything."""
