"""Bytes to frames to identifiers: health card stripe, barcode, plastic card, PIN keys; no I/O."""
