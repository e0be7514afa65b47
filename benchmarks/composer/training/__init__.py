"""Real runs of Composer's ``Trainer`` on a CPU: ``python -m benchmarks.composer.training``; see ``../../README.md``."""
