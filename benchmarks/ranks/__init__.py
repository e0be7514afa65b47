"""Runs of many ranks with the real ``torch.distributed``, where it is installed."""
