def Model():
    return nn.Sequential(
        GRU({{ channels }}, 24, batch_first=True),
        nn.Flatten(),
        nn.LazyLinear({{ outputs }}),
    )
