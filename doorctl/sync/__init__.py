"""From the library system to the patron cache: the feed, checked and sealed; speaks to ports."""
