def Model():
    return nn.Sequential(
        nn.LazyLinear(100),
        nn.ReLU(),
        Residual(nn.LazyLinear(100), nn.ReLU()),
        nn.LazyLinear(10),
    )
