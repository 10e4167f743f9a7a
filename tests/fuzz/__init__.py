"""Bytes that nobody meant: each reader of foreign bytes against millions of them."""
