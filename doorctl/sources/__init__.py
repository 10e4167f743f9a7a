"""The library systems that can be asked about one card and one PIN, one file each."""
