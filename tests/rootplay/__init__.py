"""Bugs that were found.

Bug (penetration test): root's commands followed a link in place of `branch.db.lock` and gave its
target away.
"""
