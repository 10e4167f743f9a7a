"""What people do with a branch, each written once; called by commands and pages.

What can't be read, written or put on record raises StoreError, unless a function says more of it.
"""
