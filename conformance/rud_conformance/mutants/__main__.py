"""``python -m rud_conformance.mutants``: how many mutants are killed by the cases that have to."""

from __future__ import annotations

import sys

from rud_conformance.self_test import self_test

if __name__ == "__main__":
    sys.exit(self_test(sys.argv[1:]))
