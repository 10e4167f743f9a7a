"""A branch that is used without a pause, and whether anything of it grows."""
