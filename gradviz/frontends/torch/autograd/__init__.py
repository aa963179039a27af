"""Autograd: what PyTorch's own graph tells of itself, without unpacking, freeing or keeping anything of it."""
