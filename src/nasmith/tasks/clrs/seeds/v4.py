def get_triplet_msgs(z, edge_fts, graph_fts, nb_triplet_fts, out_size):
    i, j, k = (hk.nets.MLP([nb_triplet_fts, nb_triplet_fts])(z) for _ in range(3))
    ij, ik, jk = (hk.Linear(nb_triplet_fts)(edge_fts) for _ in range(3))
    g = hk.Linear(nb_triplet_fts)(graph_fts)
    triplets = (
        i[:, :, None, None]
        + j[:, None, :, None]
        + k[:, None, None, :]
        + ij[:, :, :, None]
        + ik[:, :, None, :]
        + jk[:, None, :, :]
        + g[:, None, None, None]
    )
    return hk.Linear(out_size)(jnp.max(triplets, axis=1))
