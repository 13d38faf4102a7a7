"""The data of {{ loader }}."""

from {{ loader_module }} import {{ loader_name }}

from nasmith.problems import {{ problem }}, Splits
from nasmith.problems.loading import from_loaders

problem = {{ problem }}()


def data() -> Splits:
    """Ask the project for its data, and read it once."""
    return from_loaders({{ loader_name }}())
