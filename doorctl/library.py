"""The library system's desk: asked once about a card that the cache can't judge, and not twice."""
