def Model():
    return nn.Sequential(
        nn.Flatten(),
        nn.LazyLinear(128),
        nn.ReLU(),
        nn.LazyLinear(64),
        nn.ReLU(),
        nn.LazyLinear(10),
    )
