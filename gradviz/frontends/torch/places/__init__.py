"""Places: from the stack at a call to the user's line that led to it."""
