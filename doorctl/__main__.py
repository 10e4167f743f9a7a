"""``python -m doorctl``: the command line."""

from __future__ import annotations

from doorctl.cli.app import main

if __name__ == "__main__":
    main()
