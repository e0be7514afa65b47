"""Seven ways in which the library could be wrong, each a few lines put in the place of the real ones.

The simulation has to find each of them within the seeds that run on every change: what a checker cannot turn red, it
does not check.
"""

from __future__ import annotations

from tests.support.broken.variants import VARIANTS as VARIANTS
from tests.support.broken.variants import Variant as Variant
