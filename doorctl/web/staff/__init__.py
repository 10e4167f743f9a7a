"""The staff pages, one file a page; each uses the frame and its own services, nothing else."""
