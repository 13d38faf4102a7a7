"""Observers that log a search to experiment trackers: `nasmith.search(..., observers=[MLflow(experiment="digits")])`.

    MLflow         pip install "nasmith[mlflow]"
    WandB          pip install "nasmith[wandb]"
    TensorBoard    pip install "nasmith[tensorboard]"

Each logs the run's configuration; with every evaluation its metrics, the best fitness so far and how many evaluations ended
with which status, by the number of evaluations; and in the end the best program and what its verification measured. A resumed
run goes on in the same place. What a tracker fails to take is lost there and nowhere else: the search goes on, and says so once
(`IntegrationWarning`).
"""

from __future__ import annotations

from nasmith.integrations.following import IntegrationWarning
from nasmith.integrations.mlflow import MLflow
from nasmith.integrations.tensorboard import TensorBoard
from nasmith.integrations.wandb import WandB

__all__ = ["IntegrationWarning", "MLflow", "TensorBoard", "WandB"]
