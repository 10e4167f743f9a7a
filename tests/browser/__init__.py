"""A browser at the pages. A package, so that its driver ends before the tests of another one."""
