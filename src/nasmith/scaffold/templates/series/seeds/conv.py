def Model():
    return nn.Sequential(
        nn.LazyConv1d(16, 3, padding=1),
        nn.ReLU(),
        nn.LazyConv1d(16, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.LazyLinear(32),
        nn.ReLU(),
        nn.LazyLinear({{ outputs }}),
    )
