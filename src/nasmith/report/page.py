"""Writes the report of a run: one HTML file that needs no network, and the pictures beside it."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from nasmith import analysis
from nasmith.against_seed import AgainstSeed, against_seeds
from nasmith.analysis import FLAG_RULE, Records, Scored, Verified
from nasmith.export import write_for_user
from nasmith.population import top
from nasmith.protocols import Task, space_of
from nasmith.report.against import basis, findings, trade_off_rows
from nasmith.report.code import side_by_side, stylesheet
from nasmith.report.design_rows import design_rows
from nasmith.report.plots import draw_all, styled
from nasmith.report.svg import inline_svg
from nasmith.report.wording import containment, dollars, duration, metrics, number, plural, shows_fitness, with_spread, words
from nasmith.space import Space
from nasmith.types import Candidate, Objective, Status

__all__ = ["render", "write_report"]

_TEMPLATES = files("nasmith.report") / "templates"
_SHOWN_PROGRAMS = 10
_LOOKED_UP = "Ordered by what the search saw. What else the table holds was looked up when the search was over."
_TRAINED = "Trained again with new seeds when the search was over, and scored on test data that the search never saw."
_DPI = 160


def write_report(records: Records, task: Task, output: Path) -> list[Path]:
    """Write `report.html` and the pictures into a folder, each whole or not at all; return the paths, the page first.

    The same records give the same bytes.

    Raises:
        ConfigError: The folder cannot be written.
    """
    written = [output / "report.html"]
    with styled():
        drawings = draw_all(records, task)
        for drawing in drawings:
            buffer = io.BytesIO()
            drawing.figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
            written.append(output / f"{drawing.name}.png")
            write_for_user(written[-1], buffer.getvalue())
        svgs = {drawing.name: inline_svg(drawing) for drawing in drawings}
    write_for_user(written[0], render(records, task, drawings, svgs).encode())
    return written


def render(records: Records, task: Task, drawings: Sequence[Any] = (), svgs: dict[str, str] | None = None) -> str:
    """Return the page. Everything that a language model or a candidate wrote is escaped."""
    from jinja2 import Environment
    from markupsafe import Markup

    scored = analysis.scored(records)
    winners = analysis.verified(records, task)
    script = (_TEMPLATES / "report.js").read_text(encoding="utf-8")
    template = Environment(autoescape=True, trim_blocks=True).from_string(
        (_TEMPLATES / "report.html").read_text(encoding="utf-8")
    )
    space = space_of(task)
    codes = _codes(records, scored, winners, task) if space is None else []
    shown = {code["id"] for code in codes}
    table = _winners(winners, task.objectives, shown) if space is None else _designs(winners, task, space)
    return template.render(
        run=records.run,
        title=task.describe().title,
        verdict=_verdict(scored, winners, task),
        designs="" if space is None else _TRAINED if getattr(task, "resumable", False) else _LOOKED_UP,
        tiles=_tiles(records, scored, task.objectives),
        drawings=drawings,
        svgs={name: Markup(svg) for name, svg in (svgs or {}).items()},
        winners=table if winners else None,
        scored_on=_scored_on(winners, task.objectives),
        against=[_against(item, task.objectives, shown) for item in (against_seeds(records, task) if space is None else ())],
        flag_rule=FLAG_RULE if analysis.split_objective(task.objectives)[0] is not None else "",
        reasons=_reasons(records),
        codes=codes,
        facts=_facts(records),
        config=_yaml(records),
        code_css=Markup(stylesheet()),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _child(item: Scored | Verified) -> bool:
    return item.candidate.operator != "seed"


def _verdict(scored: Sequence[Scored], winners: Sequence[Verified], task: Task) -> str:
    """Say in a sentence or two what the run found."""
    objectives, space = task.objectives, space_of(task)
    best = next((item for item in winners if _child(item) and item.evaluations), None)
    if best is None:
        leader = next(iter(top((item for item in scored if _child(item)), 1)), None)
        if leader is None:
            return "No child could be trained yet."
        return (
            f"Not verified yet. Best of the search: #{leader.candidate.id}, {metrics(leader.evaluation.metrics, objectives)}."
        )
    if space is not None:
        headings, rows = design_rows([best], task, space)
        values = ", ".join(f"{name} {cell}" for name, cell in zip(headings, rows[0], strict=True))
        return f"Best design by what the search saw: #{best.candidate.id}, {values}."
    tests = [
        f"{words(twin)} {with_spread(best.metrics[twin], best.spreads[twin])}"
        for twin in (analysis.split_objective([objective])[1] for objective in objectives)
        if twin in best.metrics
    ]
    facts = ", ".join([metrics(best.metrics, objectives), *tests])
    seeds = [item for item in winners if not _child(item) and item.evaluations]
    beaten = sum(best.fitness > item.fitness for item in seeds)
    better = "fitter" if shows_fitness(objectives) else "better"
    against = f" It is {better} than {beaten} of the {plural(len(seeds), 'seed')}." if seeds else ""
    return f"Best verified model: #{best.candidate.id}, {facts}, over {plural(len(best.evaluations), 'new seed')}.{against}"


def _tiles(records: Records, scored: Sequence[Scored], objectives: Sequence[Objective]) -> list[tuple[str, str]]:
    statuses = analysis.count_by_status(records)
    total = sum(statuses.values())
    tokens = analysis.totals(records.completions.values(), records.calls)
    leader = next(iter(top((item for item in scored if _child(item)), 1)), None)
    tiles = [(f"{total:,}", "children")]
    if total:
        tiles.append((f"{statuses.get(Status.OK, 0) / total:.0%}", "new and trained"))
    if leader is not None:
        tiles.append((_merit(leader, objectives), f"best {_merit_name(objectives)} (#{leader.candidate.id})"))
    seed = analysis.best_seed(scored)
    if seed is not None:
        tiles.append((_merit(seed, objectives), f"best seed ({seed.candidate.label})"))
    tiles.append((f"{tokens.tokens_out:,}", "tokens written"))
    tiles.append((_took(records), "from start to end"))
    return tiles


def _merit_name(objectives: Sequence[Objective]) -> str:
    return "fitness" if shows_fitness(objectives) else words(objectives[0].name)


def _merit(item: Scored, objectives: Sequence[Objective]) -> str:
    return number(item.fitness if shows_fitness(objectives) else item.metrics[objectives[0].name])


def _took(records: Records) -> str:
    from datetime import datetime

    if not records.run.finished:
        return "unfinished"
    span = datetime.fromisoformat(records.run.finished) - datetime.fromisoformat(records.run.created)
    return duration(span.total_seconds())


def _winners(winners: Sequence[Verified], objectives: Sequence[Objective], shown: set[int]) -> dict[str, Any]:
    """Return the verified models as headings and rows: what data measured with its spread, and what the search saw of it."""
    headings = [("model", False)]
    for objective in objectives:
        twin = analysis.split_objective([objective])[1]
        if twin:
            headings += [(f"search {words(objective.name)}", True), (words(objective.name), True), (words(twin), True)]
        else:
            headings.append((words(objective.name), True))
    if shows_fitness(objectives):
        headings.append(("fitness", True))
    rows = []
    for item in winners:
        identity = f"#{item.candidate.id}" + (f" {item.candidate.label}" if item.candidate.label else "")
        rows.append(
            {
                "name": identity,
                "anchor": f"candidate-{item.candidate.id}" if item.candidate.id in shown else "",
                "seed": not _child(item),
                "flagged": item.flagged,
                "failed": f"{len(item.failures)} failed: {item.failures[0].status.value}" if item.failures else "",
                "cells": _winner_cells(item, objectives),
            }
        )
    return {"headings": headings, "rows": rows}


def _winner_cells(item: Verified, objectives: Sequence[Objective]) -> list[str]:
    cells = []
    for objective in objectives:
        twin = analysis.split_objective([objective])[1]
        if twin:
            known = item.search.metrics if item.search is not None else {}
            cells.append(number(known[objective.name]) if objective.name in known else "")
        for name in filter(None, (objective.name, twin)):
            varies = item.spreads.get(name, 0.0) > 0 or bool(twin)
            told = with_spread(item.metrics[name], item.spreads[name]) if varies and name in item.metrics else ""
            cells.append(told or (number(item.metrics[name]) if name in item.metrics else ""))
    if shows_fitness(objectives):
        cells.append(number(item.fitness) if item.evaluations else "")
    return cells


def _scored_on(winners: Sequence[Verified], objectives: Sequence[Objective]) -> str:
    """Say what the verified models were measured on."""
    twins = {analysis.split_objective([objective])[1] for objective in objectives} - {""}
    order = "fitness on validation data" if twins else ("fitness" if shows_fitness(objectives) else words(objectives[0].name))
    tested = any(twin in item.metrics for item in winners for twin in twins)
    said = (
        "Trained again with new seeds and scored on the test set, which the search never saw."
        if tested
        else ("Evaluated again with new seeds. The task has no test data that the search has not seen.")
    )
    return f"{said} Ordered by {order}. Behind ±: standard deviation over the trainings."


def _against(item: AgainstSeed, objectives: Sequence[Objective], shown: set[int]) -> dict[str, Any]:
    headings, rows = trade_off_rows(item, objectives)
    numbers = [item.seed.id, *(child.id for child in item.trade_off)]
    return {
        "seed": f"#{item.seed.id} {item.seed.candidate.label}".strip(),
        "cost": words(item.cost.name) if item.cost is not None else "",
        "basis": basis(item),
        "findings": findings(item),
        "headings": headings,
        "rows": [
            {"seed": place == 0, "anchor": f"candidate-{number}" if number in shown else "", "name": row[0], "cells": row[1:]}
            for place, (number, row) in enumerate(zip(numbers, rows, strict=True))
        ],
    }


def _designs(winners: Sequence[Verified], task: Task, space: Space) -> dict[str, Any]:
    headings, rows = design_rows(winners, task, space)
    shown = [item for item in winners if item.evaluations]
    return {
        "headings": [("model", False), *((heading, heading != "design") for heading in headings)],
        "rows": [
            {"name": f"#{item.candidate.id}", "anchor": "", "seed": False, "flagged": False, "failed": "", "cells": cells}
            for item, cells in zip(shown, rows, strict=True)
        ],
    }


def _reasons(records: Records) -> list[tuple[str, str, int, int]]:
    return [
        (status.value, reason[:300], count, first)
        for status, reasons in analysis.example_reasons(records).items()
        for reason, count, first in reasons
    ]


def _codes(records: Records, scored: Sequence[Scored], winners: Sequence[Verified], task: Task) -> list[dict[str, Any]]:
    """Choose the programs to show: verified children, best first; before verification the fittest."""
    chosen = [item.candidate for item in winners if _child(item) and item.evaluations]
    chosen = chosen or [item.candidate for item in top((item for item in scored if _child(item)), _SHOWN_PROGRAMS)]
    found = {item.candidate.id: item for item in scored}
    return [_code(records, candidate, found, task) for candidate in chosen[:_SHOWN_PROGRAMS]]


def _code(records: Records, candidate: Candidate, found: dict[int, Scored], task: Task) -> dict[str, Any]:
    def name(other: Candidate) -> str:
        return f"parent #{other.id}" + (f" {other.label}" if other.label else "")

    def facts(other: Candidate) -> str:
        return metrics(found[other.id].evaluation.metrics, task.objectives) if other.id in found else ""

    parents = [records.candidates[i] for i in dict.fromkeys(candidate.parents) if i in records.candidates]
    return {
        "id": candidate.id,
        "facts": facts(candidate),
        "origin": f"{candidate.operator} in round {candidate.round + 1}, from "
        + " and ".join(f"#{parent.id} {parent.label}".strip() + f" ({facts(parent)})" for parent in parents),
        "parents": [{"name": name(parent), "rows": side_by_side(parent.text, candidate.text)} for parent in parents],
    }


def _facts(records: Records) -> list[tuple[str, str]]:
    run = records.run
    total = analysis.totals(records.completions.values(), records.calls)
    training = sum(evaluation.seconds for evaluation in records.evaluations)
    tuning = sum(item.seconds for item in records.tunings.values())
    models = sorted({completion.model.partition("+")[0] for completion in records.completions.values()})
    facts = [
        *([("warning", warning)] if (warning := containment(run.config)) else []),
        ("begun", run.created.replace("T", " ")),
        ("finished", run.finished.replace("T", " ") or "not yet"),
        ("nasmith", run.version),
        ("language model", ", ".join(models) or "none asked"),
        ("replies", f"{total.completions:,}, {total.tokens_in:,} tokens read, {total.tokens_out:,} written"),
        ("time sampling", duration(total.seconds)),
        ("time tuning", duration(tuning)),
        ("time training", f"{duration(training)}, summed over workers"),
    ]
    if total.cost:
        facts.append(("cost", dollars(total.cost)))
    return facts + [(name, value) for name, value in run.environment.items()]


def _yaml(records: Records) -> str:
    import yaml

    return yaml.safe_dump(dict(records.run.config), sort_keys=False, allow_unicode=True, width=100)
