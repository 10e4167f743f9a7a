"""Years of branches in one process, under a clock and a chance that a seed decides."""
