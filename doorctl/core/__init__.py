"""Errors, masked values, time, readings, alarms, a command's user."""
