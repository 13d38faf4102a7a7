{% if kind == "classification" %}
"""Series of one length (CSV, one row for each): a class for each series."""
{% else %}
"""A time series (CSV, one row for each point in time): the next values of a column, from the rows before."""
{% endif %}

import csv
from pathlib import Path

import numpy as np

from nasmith.problems import {{ problem }}, Splits

DATA = Path({{ data }})
{% if kind == "classification" %}
TARGET = {{ target }}  # the class
IGNORED = {{ ignored }}  # columns that are no points of the series
{% else %}
COLUMNS = {{ columns }}  # what a model sees
TARGET = {{ target }}  # what it predicts
WINDOW = {{ window }}  # rows that it sees
HORIZON = {{ horizon }}  # values that it predicts
{% endif %}

problem = {{ problem }}()


def data() -> Splits:
{% if kind == "classification" %}
    """Read the series, each (1, points), and scale them by the training part."""
    if not DATA.is_file():
        raise FileNotFoundError(f"{DATA} is missing: a CSV file with a row for each series, its class in {TARGET!r}")
    with DATA.open(newline="", encoding="utf-8-sig") as stream:
        rows = list(csv.DictReader(stream{{ delimiter }}))
    points = [name for name in rows[0] if name != TARGET and name not in IGNORED]
    x = np.array([[[float(row[name]) for name in points]] for row in rows], dtype=np.float32)
    y = np.unique([row[TARGET] for row in rows], return_inverse=True)[1]  # classes in order of their names
    return Splits.random(x, y, val=0.15, test=0.15, seed=0, stratify=True).standardized()
{% else %}
    """Cut the series into windows, in order: the last ones are the test data, so that nothing is learned from the future."""
    if not DATA.is_file():
        raise FileNotFoundError(f"{DATA} is missing: a CSV file with a row for each point in time, and the column {TARGET!r}")
    with DATA.open(newline="", encoding="utf-8-sig") as stream:
        rows = list(csv.DictReader(stream{{ delimiter }}))
    seen = np.array([[float(row[name]) for name in COLUMNS] for row in rows], dtype=np.float32)
    wanted = np.array([float(row[TARGET]) for row in rows], dtype=np.float32)
    starts = range(len(rows) - WINDOW - HORIZON + 1)
    x = np.stack([seen[start : start + WINDOW].T for start in starts])  # (windows, columns, WINDOW)
    y = np.stack([wanted[start + WINDOW : start + WINDOW + HORIZON] for start in starts])
    return Splits.ordered(x, y, val=0.15, test=0.15).standardized()
{% endif %}
