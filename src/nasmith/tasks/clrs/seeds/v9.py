def get_triplet_msgs(z, edge_fts, graph_fts, nb_triplet_fts, out_size):
    def bilinear(x, size):
        return hk.Linear(size)(x) * hk.nets.MLP([8 * size, size])(x)

    i, j, k = (bilinear(z, nb_triplet_fts) for _ in range(3))
    ij, ik, jk = (bilinear(edge_fts, nb_triplet_fts) for _ in range(3))
    g = bilinear(graph_fts, nb_triplet_fts)
    triplets = (
        i[:, :, None, None]
        + j[:, None, :, None]
        + k[:, None, None, :]
        + ij[:, :, :, None]
        + ik[:, :, None, :]
        + jk[:, None, :, :]
        + g[:, None, None, None]
    )
    return bilinear(jnp.max(triplets, axis=1), out_size)
