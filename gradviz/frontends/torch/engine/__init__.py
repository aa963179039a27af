"""The engine: what a backward pass starts from, what it reaches, what runs inside of it and what ends it."""
