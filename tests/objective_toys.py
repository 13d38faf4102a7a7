"""Toy tasks with other objectives than size and error, and one whose seeds break its bound."""

from nasmith import valuing
from nasmith.testing import ToyTask
from nasmith.types import Bound, Objective

__all__ = ["LoneToy", "ScoreToy", "TightToy"]


class ScoreToy(ToyTask):
    """A score of either sign is to be high and a latency low; there are no parameters and no error."""

    name = "score-toy"
    objectives = (Objective("score", "maximize"), Objective("latency_ms", "minimize", "ms", log=True))

    def score(self, outcome, examined, purpose):
        metrics = super().score(outcome, examined, purpose)
        return {"score": 40 - 100 * metrics["val_error"], "latency_ms": metrics["params"] / 8}

    def fitness(self, metrics):
        return valuing.value(metrics, self.objectives, "weighted")


class LoneToy(ToyTask):
    """One score of either sign is all there is."""

    name = "lone-toy"
    objectives = (Objective("combined_score", "maximize"),)

    def score(self, outcome, examined, purpose):
        return {"combined_score": 0.4 - super().score(outcome, examined, purpose)["val_error"]}

    def fitness(self, metrics):
        return metrics["combined_score"]


class TightToy(ToyTask):
    """No seed keeps to the bound; children of the toy language model can."""

    name = "tight-toy"
    bounds = (Bound("params", at_most=25),)
