"""Where concrete classes are named and put together. Importing it does nothing."""
