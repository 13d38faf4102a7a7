import torch
import torch.nn.functional as F
from torch import nn
{% if template in ("table", "text") %}


class Residual(nn.Sequential):
    """Adds its input to the output of its layers, whose shapes must agree."""

    def forward(self, x):
        return x + super().forward(x)
{% endif %}
{% if template == "series" %}


class GRU(nn.GRU):
    """A GRU on (batch, channels, length); it returns (batch, hidden, length) alone."""

    def forward(self, x):
        return super().forward(x.transpose(1, 2))[0].transpose(1, 2)
{% elif template == "text" %}


class Mean(nn.Module):
    """The mean over the words: (batch, words, features) to (batch, features)."""

    def forward(self, x):
        return x.mean(dim=1)


class Transposed(nn.Module):
    """(batch, words, features) to (batch, features, words), as convolutions want it."""

    def forward(self, x):
        return x.transpose(1, 2)


class Positions(nn.Module):
    """Adds to each word what its place in the text means: (batch, words, features) to the same."""

    def __init__(self, words, features):
        super().__init__()
        self.table = nn.Parameter(torch.zeros(words, features))

    def forward(self, x):
        return x + self.table


class Attention(nn.Module):
    """Self-attention between all words of a text: (batch, words, features) to the same."""

    def __init__(self, features, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(features, 3 * features)
        self.out = nn.Linear(features, features)

    def forward(self, x):
        batch, words, features = x.shape
        q, k, v = self.qkv(x).view(batch, words, 3, self.heads, features // self.heads).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(2, 3) / q.shape[-1] ** 0.5).softmax(dim=-1)  # (batch, heads, words, words)
        return self.out((weights @ v).transpose(1, 2).reshape(batch, words, features))
{% endif %}
