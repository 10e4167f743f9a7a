"""The sealer of this installation, by its key and its configuration; loads Argon2."""

from __future__ import annotations

from doorctl.config import Config
from doorctl.store.keys import ArgonSealer, read_key


def own_sealer(config: Config) -> ArgonSealer:
    """Return the sealer that rows of this installation are sealed with.

    Raises:
        KeyFileError: the installation key can't be read.
    """
    key = read_key(config.secrets.installation_key_file)
    return ArgonSealer(key, config.seal.memory_kib, config.seal.iterations)
