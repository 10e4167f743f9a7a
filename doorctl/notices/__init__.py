"""Alarms on their way out of the house: mail, webhook, what waits and what is tried again."""
