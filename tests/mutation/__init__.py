"""Every small change of the code that decides must fail a test, or stand in a list with a reason.

mutmut changes one operator, number, text or argument at a time in a copy of the source, and tells
which changes no test noticed. It changes functions only. What it leaves alone: tables and constants
of modules, regular expressions among them, and functions with decorators, properties among them.
Of those the most important are in :mod:`tests.planted`.
"""
