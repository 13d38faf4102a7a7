def get_triplet_msgs(z, edge_fts, graph_fts, nb_triplet_fts, out_size):
    def bilinear(x, width):
        return hk.Linear(width)(x) * hk.nets.MLP([8 * width, width])(x)

    size = nb_triplet_fts
    node_1, node_2, node_3 = (bilinear(z, size) for _ in range(3))
    edge_1, edge_2, edge_3 = (bilinear(edge_fts, size) for _ in range(3))
    graph = bilinear(graph_fts, size)
    triplets = (
        node_1[:, :, None, None]
        + node_2[:, None, :, None]
        + node_3[:, None, None, :]
        + edge_1[:, :, :, None]
        + edge_2[:, :, None, :]
        + edge_3[:, None, :, :]
        + graph[:, None, None, None]
    )
    messages = jnp.max(triplets, axis=1)
    messages = bilinear(messages, out_size)
    return messages
