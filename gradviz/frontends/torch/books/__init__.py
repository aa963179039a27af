"""Books: what has been told so far, of which tensors, under which numbers."""
