def get_triplet_msgs(z, edge_fts, graph_fts, nb_triplet_fts, out_size):
    size = nb_triplet_fts
    node_1, node_2, node_3 = (hk.Linear(size)(z) for _ in range(3))
    edge_1, edge_2, edge_3 = (hk.Linear(size)(edge_fts) for _ in range(3))
    graph = hk.Linear(size)(graph_fts)
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
    messages = hk.Linear(out_size)(messages)
    return messages
