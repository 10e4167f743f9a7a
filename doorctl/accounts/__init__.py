"""Staff accounts: who may do what, passwords, signing in, and sessions that end by themselves."""
