def Model():
    return nn.Sequential(
        nn.Embedding({{ words }}, 16, padding_idx=0),
        Mean(),
        nn.LazyLinear(32),
        nn.ReLU(),
        nn.LazyLinear({{ outputs }}),
    )
