def Model():
    return nn.Sequential(
        nn.LazyLinear(32),
        Residual(
            nn.LayerNorm(32),
            nn.Linear(32, 64),
            nn.GELU(),
            nn.Linear(64, 32),
        ),
        nn.LayerNorm(32),
        nn.LazyLinear({{ outputs }}),
    )
