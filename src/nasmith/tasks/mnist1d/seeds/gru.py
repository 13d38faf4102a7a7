def Model():
    return nn.Sequential(
        nn.Unflatten(1, (1, 40)),
        GRU(1, 6, batch_first=True, bidirectional=True),
        nn.Flatten(),
        nn.LazyLinear(10),
    )
