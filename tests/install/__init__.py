"""Installs the package as a person does, in an empty Debian, and holds the pages that say how."""
