"""The power cut at each write to the disk, below the file system: ``python -m tests.powercut``."""
