"""What the library promises its patrons: visits are gone after the retention; speaks to ports."""
