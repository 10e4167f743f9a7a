"""The configuration: a TOML file becomes one frozen `Config`, or a list of all its problems."""

from doorctl.config.loading import Config, load, load_gpio, reload

__all__ = ["Config", "load", "load_gpio", "reload"]
