"""What the clients of library systems share, and the client of a branch."""
