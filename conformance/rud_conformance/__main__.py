"""``python -m rud_conformance URI``."""

from __future__ import annotations

import sys

from rud_conformance.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
