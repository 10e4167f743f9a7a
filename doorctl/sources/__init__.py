"""Clients of library systems, the identity provider, the website and branches."""
