"""Retention, erasure, export and audit: what the library promises its patrons; speaks to ports."""
