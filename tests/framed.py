"""Programs of which only marked parts may change, shared by the tests of what reads and writes them."""

from nasmith.frames import Frame

METHOD = """import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.layer = nn.Linear(width, width)

    def forward(self, x):
        # nasmith: begin
        y = self.layer(x)
        y = torch.relu(y)
        # nasmith: end
        return x + y


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.block = Block(8)  # fixed

    def forward(self, x):
        return self.block(x)
"""
"""One part, in a method of a class that is not the entry."""

TWO = '''"""A search."""
import random

# EVOLVE-BLOCK-START: settings
STEPS = 10
SCALE = 0.5
# EVOLVE-BLOCK-END


def evaluate(x, y):
    return x * x + y * y


# EVOLVE-BLOCK-START
def search(bounds=(-5, 5)):
    best = 1e9
    for _ in range(STEPS):
        x = random.uniform(*bounds)
        best = min(best, evaluate(x, SCALE))
    return best
# EVOLVE-BLOCK-END


def run():
    return search()
'''
"""Two parts at the top level, and no entry."""

WINDOWS = METHOD.replace("\n", "\r\n")

FRAMED = {"method": METHOD, "two": TWO, "windows": WINDOWS}
ENTRIES = {"method": "Model", "two": "", "windows": "Model"}
FIRST_LINES = {"method": "class Model(nn.Module):", "two": "", "windows": "class Model(nn.Module):"}


def frame_of(name):
    frame = Frame.of(FRAMED[name])
    assert frame is not None
    return frame
