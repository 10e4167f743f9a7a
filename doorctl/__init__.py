"""doorctl: the door of a library that stays open when nobody is at the desk."""

__version__ = "0.3.0"
