"""The picture of a graph: what is drawn and what it says. `records` has its shape, `composing.compose` makes one."""
