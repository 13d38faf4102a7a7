"""Small real data on the spot: images, tables, a series and texts, as users have them."""

import csv
from pathlib import Path

import numpy as np


def write_images(folder: Path, classes: int = 3, each: int = 12) -> Path:
    """Write digits of scikit-learn as PNG, a folder for each class."""
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    for label in range(classes):
        (folder / f"digit-{label}").mkdir(parents=True)
        for number, image in enumerate(digits.images[digits.target == label][:each]):
            Image.fromarray((image * 15).astype(np.uint8)).save(folder / f"digit-{label}" / f"{number}.png")
    return folder


def write_table(file: Path, kind: str = "classification") -> Path:
    """Write wine or diabetes of scikit-learn, with a column of words."""
    from sklearn.datasets import load_diabetes, load_wine

    data = load_wine() if kind == "classification" else load_diabetes()
    target = [str(data.target_names[y]) for y in data.target] if kind == "classification" else [f"{y:g}" for y in data.target]
    with file.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([*data.feature_names[:5], "shop", "quality"])
        for number, (row, label) in enumerate(zip(data.data, target, strict=True)):
            writer.writerow([*(f"{value:.4f}" for value in row[:5]), ["east", "west"][number % 2], label])
    return file


def write_series(file: Path) -> Path:
    """Write two waves."""
    random, time = np.random.default_rng(0), np.arange(300)
    wave = np.sin(time / 7) + 0.1 * random.normal(size=300)
    lines = [f"day {t},{np.cos(t / 11):.4f},{value:.4f}" for t, value in zip(time, wave, strict=True)]
    file.write_text("\n".join(["when,wind,warmth", *lines]) + "\n")
    return file


def write_texts(file: Path) -> Path:
    """Write sentences, whose mood is a word."""
    random = np.random.default_rng(0)
    words = {"good": ["bright", "lovely", "warm"], "bad": ["dull", "awful", "cold"]}
    lines = []
    for number in range(150):
        mood = ["good", "bad"][number % 2]
        rest = " ".join(random.choice(["room", "soup", "film", "walk", "day", "tea", "boat", "song"], 5))
        lines.append(f"{number} {random.choice(words[mood])} {rest},{mood}")
    file.write_text("\n".join(["review,mood", *lines]) + "\n")
    return file


def write_text_folder(folder: Path) -> Path:
    """Write the sentences of `write_texts` as files, a folder for each mood."""
    rows = csv.DictReader(write_texts(folder.with_suffix(".csv")).read_text().splitlines())
    for number, row in enumerate(rows):
        (folder / row["mood"]).mkdir(parents=True, exist_ok=True)
        (folder / row["mood"] / f"{number}.txt").write_text(row["review"])
    return folder


def write_waves(file: Path) -> Path:
    """Write series of 24 points, each of a slow wave or of a quick one."""
    random, time = np.random.default_rng(0), np.arange(24)
    lines = []
    for number in range(120):
        wave = np.sin(time / [4, 2][number % 2] + random.uniform(0, 1)) + 0.1 * random.normal(size=24)
        lines.append(",".join([f"s{number}", *(f"{value:.3f}" for value in wave), ["slow", "quick"][number % 2]]))
    file.write_text("\n".join([",".join(["name", *map(str, time), "wave"]), *lines]) + "\n")
    return file
