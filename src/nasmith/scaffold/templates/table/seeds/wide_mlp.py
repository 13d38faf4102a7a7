def Model():
    return nn.Sequential(
        nn.LazyLinear(256),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.LazyLinear(128),
        nn.ReLU(),
        nn.LazyLinear({{ outputs }}),
    )
