def Model():
    return nn.Sequential(
        nn.LazyLinear(64),
        nn.ReLU(),
        nn.LazyLinear(32),
        nn.ReLU(),
        nn.LazyLinear({{ outputs }}),
    )
