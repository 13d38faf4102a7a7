def Model():
    return nn.Sequential(
        nn.Embedding({{ words }}, 32, padding_idx=0),
        Positions({{ length }}, 32),
        Residual(
            nn.LayerNorm(32),
            Attention(32, heads=2),
        ),
        Residual(
            nn.LayerNorm(32),
            nn.Linear(32, 64),
            nn.GELU(),
            nn.Linear(64, 32),
        ),
        Mean(),
        nn.LazyLinear({{ outputs }}),
    )
