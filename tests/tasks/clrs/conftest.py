"""Where the extra `clrs` is installed, it is imported once, before the tests, and JAX is kept on the processor."""

from __future__ import annotations

import warnings
from importlib.util import find_spec

if find_spec("clrs") is not None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of TensorFlow's own modules
        from nasmith.tasks.clrs.packages import load_clrs

        load_clrs()
        import jax

    jax.config.update("jax_platforms", "cpu")
