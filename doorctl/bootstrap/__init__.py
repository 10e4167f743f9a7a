"""The composition root: the only place that names concrete classes. Importing it does nothing."""
