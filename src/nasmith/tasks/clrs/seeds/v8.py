def get_triplet_msgs(z, edge_fts, graph_fts, nb_triplet_fts, out_size):
    size = out_size
    nodes = hk.nets.MLP([size])(z)
    messages = jnp.tile(nodes[:, :, None], (1, 1, z.shape[1], 1))
    return messages
