"""Sums up a run on the terminal and as JSON: verified winners beside the seeds, counts, costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from nasmith import analysis
from nasmith.against_seed import AgainstSeed, Standing, against_seeds
from nasmith.analysis import Records, Scored, Verified
from nasmith.cli.designs_table import designs_table
from nasmith.cli.progress import STATUS_STYLES
from nasmith.population import top
from nasmith.protocols import Storage, Task, space_of
from nasmith.redaction import without_password
from nasmith.report.against import basis, findings
from nasmith.report.wording import dollars, duration, number, plural, shows_fitness, with_spread, words
from nasmith.types import Objective, Status

__all__ = ["counts_table", "leaders_table", "print_summary", "seconds_between", "storage_flag", "summary", "verified_table"]

_SHOWN = 10


def storage_flag(storage: str | None) -> str:
    """Return the words that name the storage again in a command."""
    return f" --storage {without_password(storage)}" if storage else ""


def summary(storage: Storage, name: str, task: Task) -> dict[str, Any]:
    """Return what a script would want to know of a run."""
    records = analysis.read(storage, name)
    scored = analysis.scored(records)
    children = (item for item in scored if item.candidate.operator != "seed")
    lm = records.run.config["lm"]
    return {
        "run": name,
        "created": records.run.created,
        "finished": records.run.finished or None,
        "config": {**records.run.config, "lm": lm["options"].get("recorded") or lm},  # a replay is one of the recorded model
        "statuses": analysis.count_by_status(records),
        "operators": analysis.count_by_operator(records),
        "lm": asdict(analysis.totals(records.completions.values(), records.calls)),
        "tunings": [asdict(tuning) for tuning in records.tunings.values()],
        "best": [_scored_json(item) for item in top(children, _SHOWN)],
        "seeds": [_scored_json(item) for item in scored if item.candidate.operator == "seed"],
        "front": [item.candidate.id for item in analysis.front(scored, task.objectives)],
        "verified": [_verified_json(item) for item in analysis.verified(records, task)],
        "against_seeds": [] if space_of(task) is not None else [_against_json(i) for i in against_seeds(records, task)],
    }


def _against_json(item: AgainstSeed) -> dict[str, Any]:
    def named(standing: Standing | None) -> int | None:
        return None if standing is None else standing.id

    return {
        "seed": item.seed.id,
        "label": item.seed.candidate.label,
        "quality": item.quality.name,
        "cost": None if item.cost is None else item.cost.name,
        "verified": item.verified,
        "least_cost_no_worse": named(item.smallest),
        "best_quality_no_costlier": named(item.best),
        "trade_off": [child.id for child in item.trade_off],
    }


def _scored_json(item: Scored) -> dict[str, Any]:
    return {
        "candidate": item.candidate.id,
        "label": item.candidate.label,
        "operator": item.candidate.operator,
        "fitness": item.fitness,
        "metrics": dict(item.evaluation.metrics),
    }


def _verified_json(item: Verified) -> dict[str, Any]:
    return {
        "candidate": item.candidate.id,
        "label": item.candidate.label,
        "fitness": item.fitness,
        "test_fitness": item.test_fitness,
        "seeds": len(item.evaluations),
        "failures": len(item.failures),
        "mean": dict(item.metrics),
        "standard_deviation": dict(item.spreads),
        "interval_95": dict(item.intervals),
        "flagged": item.flagged,
    }


def print_summary(screen: Console, storage: Storage, name: str, task: Task, where: str | None) -> None:
    """Print the end of a search: the winners, what they beat, and the commands that come next."""
    records = analysis.read(storage, name)
    scored = analysis.scored(records)
    winners = analysis.verified(records, task)
    made = sum(analysis.count_by_status(records).values())
    screen.print()
    space = space_of(task)
    if winners and space is not None:
        if getattr(task, "resumable", False):
            screen.print(leaders_table(scored, task.objectives, limit=5))
            screen.print()
        screen.print(designs_table(winners, task, space))
    elif winners:
        screen.print(verified_table(winners, task.objectives))
        _print_verdict(screen, winners, task.objectives)
    elif any(item.candidate.operator != "seed" for item in scored):
        screen.print(leaders_table(scored, task.objectives, limit=5))
    else:
        text = "No child could be trained. See why with the command below." if made else "No child was made yet."
        screen.print(text, style="yellow")
    if space is None:
        _print_against(screen, against_seeds(records, task))
    total = analysis.totals(records.completions.values(), records.calls)
    replies = f", {plural(total.completions, 'reply')} with {total.tokens_out:,} tokens" if total.completions else ""
    screen.print(f"{plural(made, 'child')}{replies}" + (f", {dollars(total.cost)}" if total.cost else ""))
    flag = storage_flag(where)
    screen.print()
    steps = Table.grid(padding=(0, 2))
    steps.add_row("All of it:", f"nasmith show {name}{flag}")
    steps.add_row("Report:", f"nasmith report {name}{flag} -o report")
    children = [item for item in winners if item.candidate.operator != "seed"]
    if any(evaluation.weights or space is not None for item in children for evaluation in item.evaluations):
        steps.add_row("The best model:", f"nasmith export {name}{flag} -o model")
    screen.print(steps)


def _print_verdict(screen: Console, winners: Sequence[Verified], objectives: Sequence[Objective]) -> None:
    """Say which seeds the best winner beats, by the same rule: new training seeds."""
    seeds = [item for item in winners if item.candidate.operator == "seed" and item.evaluations]
    best = next((item for item in winners if item.candidate.operator != "seed" and item.evaluations), None)
    if best is not None and seeds:
        beaten = [item.candidate.label for item in seeds if best.fitness > item.fitness]
        names = f": {', '.join(beaten)}" if beaten else ""
        better = "fitter" if shows_fitness(objectives) else "better"
        text = f"#{best.candidate.id} is {better} than {len(beaten)} of the {plural(len(seeds), 'seed')}{names}."
        screen.print(text, markup=False)
    if any(item.flagged for item in winners):
        screen.print(Text("! test error above the search's by more than 0.02 and three standard errors", "yellow"))


def _print_against(screen: Console, found: Sequence[AgainstSeed]) -> None:
    """Say how much smaller and how much more accurate the children are than the fittest seed, where there is any child."""
    held = [item for item in found if item.seed.id == found[0].seed.id and item.children]
    if not held:
        return
    screen.print()
    label = held[0].seed.candidate.label
    screen.print(Text.assemble("Against the seed ", (label, "bold"), f", {basis(held[0])}:"))
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(style="bold")
    for wanted, what in dict.fromkeys(line for item in held for line in findings(item)):
        table.add_row(Text(f"  {wanted}"), Text(what))
    screen.print(table)
    others = len({item.seed.id for item in found}) - 1
    if others:
        screen.print(Text(f"The report holds them against {plural(others, 'other seed')} too.", "dim"))
    screen.print()


def _name(candidate: Any) -> Text:
    return Text(f"#{candidate.id}").append(f" {candidate.label}" if candidate.label else "", "dim")


def verified_table(winners: Sequence[Verified], objectives: Sequence[Objective], limit: int = 12) -> Table:
    """Return the verified models, best first; seeds stay in the table however they do."""
    twins = {objective.name: analysis.split_objective([objective])[1] for objective in objectives}
    tested = any(twin in item.metrics for item in winners for twin in twins.values())
    title = "Verified: new seeds, the test set" if tested else "Verified: new seeds"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("model", no_wrap=True)
    ordered = sorted(objectives, key=lambda objective: bool(twins[objective.name]))  # what has a spread stands on the right
    for objective in ordered:
        table.add_column(words(objective.name), justify="right")
        if twins[objective.name]:
            table.add_column(f"{words(twins[objective.name])} (mean ± sd)", justify="right")
    if shows_fitness(objectives):
        table.add_column("fitness", justify="right")
    first = next((twin for twin in twins.values() if twin), "")  # what `flagged` is about
    for item in (item for place, item in enumerate(winners) if place < limit or item.candidate.operator == "seed"):
        row: list[Any] = [_name(item.candidate)]
        if not item.evaluations:
            table.add_row(*row, Text(f"failed: {item.failures[0].status.value}", "red"))
            continue
        for objective in ordered:
            twin = twins[objective.name]
            value, spread = item.metrics.get(objective.name, float("nan")), item.spreads.get(objective.name, 0.0)
            row.append(with_spread(value, spread) if spread and not twin else number(value))
            if twin:
                marked = item.flagged and twin == first
                text = with_spread(item.metrics[twin], item.spreads[twin]) if twin in item.metrics else "-"
                row.append(Text(text + (" !" if marked else ""), "yellow" if marked else "bold"))
        if shows_fitness(objectives):
            row.append(number(item.fitness))
        table.add_row(*row, style="dim" if item.candidate.operator == "seed" else None)
    return table


def leaders_table(scored: Sequence[Scored], objectives: Sequence[Objective], limit: int = _SHOWN) -> Table:
    """Return the fittest of the search, and all seeds, best first."""
    children = top((item for item in scored if item.candidate.operator != "seed"), limit)
    seeds = [item for item in scored if item.candidate.operator == "seed"]
    table = Table(title="Best of the search", title_justify="left", box=None, pad_edge=False)
    table.add_column("model", no_wrap=True)
    table.add_column("made by")
    for objective in objectives:
        table.add_column(words(objective.name), justify="right")
    if shows_fitness(objectives):
        table.add_column("fitness", justify="right")
    for item in top([*children, *seeds], len(scored)):
        seed = item.candidate.operator == "seed"
        parents = ", ".join(f"#{parent}" for parent in item.candidate.parents)
        by = "seed" if seed else f"{item.candidate.operator} of {parents}" if parents else item.candidate.operator
        values = [number(item.evaluation.metrics.get(objective.name, float("nan"))) for objective in objectives]
        fitness = [number(item.fitness)] if shows_fitness(objectives) else []
        table.add_row(_name(item.candidate), by, *values, *fitness, style="dim" if seed else None)
    return table


def counts_table(records: Records) -> Table:
    """Return the children by operator and status, with the commonest reason of each status."""
    by_operator = analysis.count_by_operator(records)
    totals: Mapping[Status, int] = analysis.count_by_status(records)
    reasons = analysis.example_reasons(records, limit=1)
    table = Table(title="Children by status", title_justify="left", box=None, pad_edge=False)
    table.add_column("status", no_wrap=True)
    for operator in by_operator:
        table.add_column(operator, justify="right", no_wrap=True)
    table.add_column("all", justify="right")
    table.add_column("commonest reason", style="dim")
    for status, count in totals.items():
        reason = reasons.get(status, [("", 0, 0)])[0][0]
        cells = [f"{by_operator[operator].get(status, 0):,}" for operator in by_operator]
        table.add_row(Text(status.value, STATUS_STYLES[status]), *cells, f"{count:,}", Text(reason))
    return table


def seconds_between(created: str, finished: str) -> str:
    """Return how long a run took, where it is finished."""
    from datetime import datetime

    if not finished:
        return "unfinished"
    return duration((datetime.fromisoformat(finished) - datetime.fromisoformat(created)).total_seconds())
