def get_triplet_msgs(z, edge_fts, graph_fts, nb_triplet_fts, out_size):
    def bilinear(x, width):
        return hk.Linear(width)(x) * hk.nets.MLP([8 * width, width])(x)

    size = nb_triplet_fts
    node_1 = bilinear(z, size)
    node_2 = bilinear(z, size)
    node_3 = bilinear(z, size)
    edge_1 = bilinear(edge_fts, size)
    edge_2 = bilinear(edge_fts, size)
    edge_3 = bilinear(edge_fts, size)
    graph = bilinear(graph_fts, size)
    triplets = node_1[:, :, None, None] + edge_1[:, :, :, None]
    triplets = triplets + node_2[:, None, :, None] + edge_2[:, :, None, :]
    triplets = triplets + node_3[:, None, None, :] + edge_3[:, None, :, :]
    triplets = triplets + graph[:, None, None, None]
    messages = jnp.max(triplets, axis=1)
    messages = bilinear(messages, out_size)
    return messages
