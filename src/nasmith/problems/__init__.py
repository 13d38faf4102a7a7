"""What a user's data and targets are: splits of it, and kinds of problem with their losses and scores."""

from __future__ import annotations

from nasmith.problems.classification import Classification
from nasmith.problems.problem import Direction, Problem
from nasmith.problems.regression import Regression
from nasmith.problems.segmentation import Segmentation
from nasmith.problems.sequence import Sequence
from nasmith.problems.splits import DataError, Splits

__all__ = ["Classification", "DataError", "Direction", "Problem", "Regression", "Segmentation", "Sequence", "Splits"]
