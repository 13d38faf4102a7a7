def Model():
    return nn.Sequential(
        nn.Unflatten(1, (1, 40)),
        nn.LazyConv1d(32, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.AvgPool1d(2),
        Residual(nn.LazyConv1d(32, kernel_size=3, padding=1), nn.ReLU()),
        Residual(nn.LazyConv1d(32, kernel_size=3, padding=1), nn.ReLU()),
        nn.AvgPool1d(2),
        nn.Flatten(),
        nn.LazyLinear(256),
        nn.ReLU(),
        nn.LazyLinear(10),
    )
