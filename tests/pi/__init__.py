"""An emulated Raspberry Pi that runs the real units, and what is done to it."""
