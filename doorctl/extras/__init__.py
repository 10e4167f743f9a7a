"""What not every branch has, a folder each: deleted or not configured, it is not there."""
