def Model():
    return nn.Sequential(
        nn.Embedding({{ words }}, 32, padding_idx=0),
        Transposed(),
        nn.LazyConv1d(64, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveMaxPool1d(1),
        nn.Flatten(),
        nn.LazyLinear({{ outputs }}),
    )
