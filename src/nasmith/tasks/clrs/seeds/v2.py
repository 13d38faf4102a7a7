def get_triplet_msgs(z, edge_fts, graph_fts, nb_triplet_fts, out_size):
    node_1, node_2, node_3 = (hk.Linear(nb_triplet_fts)(z) for _ in range(3))
    edge_1, edge_2, edge_3 = (hk.Linear(nb_triplet_fts)(edge_fts) for _ in range(3))
    graph = hk.Linear(nb_triplet_fts)(graph_fts)
    triplets = node_1[:, :, None, None] + node_2[:, None, :, None] + node_3[:, None, None, :]
    triplets = triplets + edge_1[:, :, :, None] + edge_2[:, :, None, :] + edge_3[:, None, :, :]
    triplets = triplets + graph[:, None, None, None]
    messages = jnp.max(triplets, axis=1)
    return hk.nets.MLP([out_size, out_size])(messages)
