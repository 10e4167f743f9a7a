"""Does what systemd/README.md says, to the letter, in an empty Debian that nobody prepared."""
