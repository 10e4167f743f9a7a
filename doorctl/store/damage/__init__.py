"""What becomes of a damaged database: it is mended, read row by row, or set aside."""
