"""Patching: how the recording stands between PyTorch and the program so that neither of them notices."""
