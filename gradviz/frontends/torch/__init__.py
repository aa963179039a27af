"""The PyTorch front end: what autograd keeps of an unmodified script, and what it does not."""
