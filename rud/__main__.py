"""``python -m rud`` is the command ``rud``."""

from __future__ import annotations

import sys

from rud.cli import main

if __name__ == "__main__":
    sys.exit(main())
