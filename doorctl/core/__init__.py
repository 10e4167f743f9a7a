"""Errors, masked values, time, readings, alarms, the user who runs a command."""
