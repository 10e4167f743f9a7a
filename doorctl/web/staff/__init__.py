"""The staff pages, one file a page; each speaks to its own desk and the frame, nothing else."""
