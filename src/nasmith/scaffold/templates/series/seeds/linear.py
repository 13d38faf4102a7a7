def Model():
    return nn.Sequential(
        nn.Flatten(),
        nn.LazyLinear({{ outputs }}),
    )
