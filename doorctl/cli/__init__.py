"""One group of commands a file: parse, call, print."""
