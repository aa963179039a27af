"""Calls: from one call of PyTorch to the events that tell of it."""
