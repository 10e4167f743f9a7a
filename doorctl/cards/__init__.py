"""Bytes to frames to identifiers: health card stripe and barcode, plastic card, PIN keys; no I/O."""
