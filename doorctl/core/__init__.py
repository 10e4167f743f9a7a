"""Errors, masked values, time, readings, alarms, staff's words, a command's user."""
