"""Models: what a program is built of, which are modules, their parameters and the optimizers that own these."""
