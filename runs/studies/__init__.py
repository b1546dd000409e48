"""The library: one module per paper, with its experiments as specs, its figures and its claims."""
