"""Errors, masked values, time, readings, alarms, catalogues, staff's words, a command's user."""
