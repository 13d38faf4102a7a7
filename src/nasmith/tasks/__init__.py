"""Tasks, a package each. Import the one you use: `from nasmith.tasks.mnist1d import Mnist1d`."""
