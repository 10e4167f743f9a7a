"""Does it work? A patron who doesn't exist comes to the door, and the house is looked at.

Nothing is opened and nobody is put on record: the patron's row is never stored, and the strike's
table moves no relay. A check starts from what the one before it must have said, so that a
fault is told once, under its own name. All checks stand in :data:`doorctl.self_test.run.CHECKS`.
"""
