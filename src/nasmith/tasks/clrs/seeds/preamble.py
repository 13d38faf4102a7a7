import haiku as hk
import jax
import jax.numpy as jnp
