"""The figures that ``rud`` has to reach, each measured beside its peers in the same run: ``python -m benchmarks``."""
