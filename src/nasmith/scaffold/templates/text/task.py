{% if folder_of_texts %}
"""Texts in folders, a folder of .txt files for each class. Words become numbers; 0 is padding, 1 a word that is not known."""

import re
from collections import Counter
{% else %}
"""Texts with labels (CSV): a class for each text. Words become numbers; 0 is padding, 1 a word that is not known."""

import csv
import re
from collections import Counter
{% endif %}
from pathlib import Path

import numpy as np

from nasmith.problems import Classification, Splits

DATA = Path({{ data }})
{% if not folder_of_texts %}
TEXT, TARGET = {{ text }}, {{ target }}
{% endif %}
WORDS = {{ words }}  # the most frequent words of the training texts get a number
LENGTH = {{ length }}  # words of a text that a model sees

problem = Classification()


def tokens(text: str) -> list[str]:
    """Cut a text into words and marks, in small letters."""
    return re.findall(r"\w+|[^\w\s]", text.lower())


def data() -> Splits:
    """Read the texts, split them, and number the words by the training part alone."""
{% if folder_of_texts %}
    paths = sorted(DATA.glob("[!.]*/[!.]*.txt"))
    if not paths:
        raise FileNotFoundError(f"no texts in {DATA}: it should hold a folder of .txt files for each class")
    texts = [tokens(path.read_text(encoding="utf-8")) for path in paths]
    y = np.unique([path.parent.name for path in paths], return_inverse=True)[1]  # classes in order of their names
{% else %}
    if not DATA.is_file():
        raise FileNotFoundError(f"{DATA} is missing: a CSV file with the columns {TEXT!r} and {TARGET!r}")
    with DATA.open(newline="", encoding="utf-8-sig") as stream:
        rows = list(csv.DictReader(stream{{ delimiter }}))
    texts = [tokens(row[TEXT]) for row in rows]
    y = np.unique([row[TARGET] for row in rows], return_inverse=True)[1]  # classes in order of their names
{% endif %}
    places = Splits.random(np.arange(len(texts)), y, val=0.15, test=0.15, seed=0, stratify=True)
    counts = Counter(word for place in places.train[0] for word in texts[place])
    number = {word: place + 2 for place, (word, _) in enumerate(counts.most_common(WORDS - 2))}

    def part(places: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x = np.zeros((len(places), LENGTH), dtype=np.int64)
        for row, place in zip(x, places, strict=True):
            known = [number.get(word, 1) for word in texts[place][:LENGTH]]
            row[: len(known)] = known
        return x, labels

    return Splits(train=part(*places.train), val=part(*places.val), test=part(*places.test))
