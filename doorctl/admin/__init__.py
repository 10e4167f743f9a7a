"""What only root and the installer do with a machine: install, pair, upgrade, back up, help."""
