"""Search strategies, a module each; the module docstring cites the paper."""
