def Model():
    return nn.Sequential(
        nn.LazyConv2d(16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.LazyConv2d(32, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.LazyLinear({{ outputs }}),
    )
