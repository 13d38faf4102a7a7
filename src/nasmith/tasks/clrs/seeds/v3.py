def get_triplet_msgs(z, edge_fts, graph_fts, nb_triplet_fts, out_size):
    size = nb_triplet_fts
    node_1 = hk.Linear(size)(z)
    node_2 = hk.Linear(size)(z)
    node_3 = hk.Linear(size)(z)
    edge_1 = hk.Linear(size)(edge_fts)
    edge_2 = hk.Linear(size)(edge_fts)
    edge_3 = hk.Linear(size)(edge_fts)
    graph = hk.Linear(size)(graph_fts)
    triplets = node_1[:, :, None, None] + edge_1[:, :, :, None]
    triplets = triplets + node_2[:, None, :, None] + edge_2[:, :, None, :]
    triplets = triplets + node_3[:, None, None, :] + edge_3[:, None, :, :]
    triplets = triplets + graph[:, None, None, None]
    messages = jnp.sum(triplets, axis=1)
    messages = hk.Linear(out_size)(messages)
    return messages
