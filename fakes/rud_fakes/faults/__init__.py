"""Fault plans: what shall go wrong, where, and for whom; repeatable, and refused when they could do nothing."""
