"""Programs that the tests of source texts share: the seeds of MNIST-1D, and one of two classes."""

from pathlib import Path

SEEDS = Path(__file__).parents[1] / "src/nasmith/tasks/mnist1d/seeds"
PROGRAMS = {path.stem: path.read_text() for path in sorted(SEEDS.glob("*.py")) if path.stem != "preamble"}

CLASSES = '''class Block(nn.Module):
    """Two layers."""

    def __init__(self, width: int, act=nn.ReLU):
        super().__init__()
        self.layer = nn.LazyConv1d(width, kernel_size=3, padding=1)

    def forward(self, x):
        for i in range(2):
            x = F.relu(self.layer(x)) + i  # twice
        return x


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.block = Block(10)

    def forward(self, x):
        return self.block(x.unsqueeze(1)).mean(-1)
'''
