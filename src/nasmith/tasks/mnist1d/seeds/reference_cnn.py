def Model():
    return nn.Sequential(
        nn.Unflatten(1, (1, 40)),
        nn.LazyConv1d(25, kernel_size=5, stride=2, padding=1),
        nn.ReLU(),
        nn.LazyConv1d(25, kernel_size=3, stride=2, padding=1),
        nn.ReLU(),
        nn.LazyConv1d(25, kernel_size=3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.LazyLinear(10),
    )
