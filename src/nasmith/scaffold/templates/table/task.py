"""A table (CSV): {{ "the class" if kind == "classification" else "the quantity" }} in one column, from the others."""

import csv
from pathlib import Path

import numpy as np

from nasmith.problems import {{ problem }}, Splits

DATA = Path({{ data }})
TARGET = {{ target }}
CATEGORIES = {{ categories }}  # columns with words: one input for each word
{% if ignored %}
IGNORED = {{ ignored }}  # columns with one value alone, or too many words for inputs
{% else %}
IGNORED = []  # columns that are no inputs
{% endif %}

problem = {{ problem }}()


def inputs(rows: list[dict[str, str]]) -> np.ndarray:
    """Return the inputs, float32 (rows, features). What is missing in a column of numbers becomes its median."""
    columns = []
    for name in [name for name in rows[0] if name != TARGET and name not in IGNORED]:
        values = [row[name] for row in rows]
        if name in CATEGORIES:
            columns += [[float(value == word) for value in values] for word in sorted(set(values))]
        else:
            column = np.array([float(value) if value.strip() else np.nan for value in values])
            columns.append(np.where(np.isnan(column), np.nanmedian(column), column))
    return np.array(columns, dtype=np.float32).T


def data() -> Splits:
    """Read the table, and scale the inputs by the training part."""
    if not DATA.is_file():
        raise FileNotFoundError(f"{DATA} is missing: a CSV file with a line of column names, {TARGET!r} among them")
    with DATA.open(newline="", encoding="utf-8-sig") as stream:
        rows = list(csv.DictReader(stream{{ delimiter }}))
{% if kind == "classification" %}
    y = np.unique([row[TARGET] for row in rows], return_inverse=True)[1]  # classes in order of their names
    return Splits.random(inputs(rows), y, val=0.15, test=0.15, seed=0, stratify=True).standardized()
{% else %}
    y = np.array([float(row[TARGET]) for row in rows])
    return Splits.random(inputs(rows), y, val=0.15, test=0.15, seed=0).standardized()
{% endif %}
