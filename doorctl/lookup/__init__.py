"""What door, pages and commands look up alike: a branch's clock, policy, cards and health."""
