"""The databases on the SD card and the key that seals them; one writer a file."""
