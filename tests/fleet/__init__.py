"""Many doors and their senders over real NATS servers, with what happens to a network meanwhile.

``python -m tests.fleet`` begins with doors that hold nothing, has the registers change round by
round while servers, doors and lines come and go by a seed, and ends with a round in peace. Then
each door has to hold what its own sender holds, row for row, and no door may ever have taken an
older push or another library's.
"""
