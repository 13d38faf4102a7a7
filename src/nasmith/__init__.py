"""nasmith: search for neural architectures with a language model that learns during the search.

import nasmith
result = nasmith.search("mnist1d", budget=nasmith.Budget(minutes=60))
print(result.best().text)
"""

from nasmith.api import Result, resume, search
from nasmith.loop import Budget
from nasmith.verify import Verification

__all__ = ["Budget", "Result", "Verification", "resume", "search"]
