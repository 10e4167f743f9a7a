"""What is asked over a network: library systems, the identity provider, the website, branches."""
