"""Who may come in, and when: tables and functions over frozen values; no clock, no I/O."""
