def get_triplet_msgs(z, edge_fts, graph_fts, nb_triplet_fts, out_size):
    nodes = hk.nets.MLP([out_size])(z)
    return jnp.tile(nodes[:, :, None], (1, 1, z.shape[1], 1))
