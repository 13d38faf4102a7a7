import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
