def get_triplet_msgs(z, edge_fts, graph_fts, nb_triplet_fts, out_size):
    def bilinear(x, size):
        return hk.Linear(size)(x) * hk.nets.MLP([8 * size, size])(x)

    node_1 = bilinear(z, nb_triplet_fts)
    node_2 = bilinear(z, nb_triplet_fts)
    node_3 = bilinear(z, nb_triplet_fts)
    edge_1 = bilinear(edge_fts, nb_triplet_fts)
    edge_2 = bilinear(edge_fts, nb_triplet_fts)
    edge_3 = bilinear(edge_fts, nb_triplet_fts)
    graph = bilinear(graph_fts, nb_triplet_fts)
    triplets = node_1[:, :, None, None] + node_2[:, None, :, None] + node_3[:, None, None, :]
    triplets = triplets + edge_1[:, :, :, None] + edge_2[:, :, None, :] + edge_3[:, None, :, :]
    triplets = triplets + graph[:, None, None, None]
    messages = jnp.max(triplets, axis=1)
    return bilinear(messages, out_size)
