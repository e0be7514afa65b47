"""The whole library in a simulated world, decided by a seed: see ``driver``, and ``python -m rud_fakes.simulation``."""
