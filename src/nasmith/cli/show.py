"""The commands `runs` and `show`: a list of runs, one run, or one candidate with its whole story."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasmith.cli.console import FLAG, JsonFlag, RunName, StoragePath, console, opened, print_json, records_of
from nasmith.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from nasmith.analysis import Records
    from nasmith.protocols import Task
    from nasmith.types import Candidate, Run

__all__ = ["add_to", "candidate_of"]


def add_to(app: typer.Typer, panel: str) -> None:
    """Register the commands below the heading `panel`."""
    app.command(rich_help_panel=panel)(runs)
    app.command(rich_help_panel=panel)(show)


def runs(
    storage: StoragePath = None,
    every: Annotated[bool, typer.Option("--all", metavar=FLAG, help="List the runs of comparisons one by one.")] = False,
    json: JsonFlag = False,
) -> None:
    """List the runs in a storage; those of a comparison as one. JSON lists each."""
    with opened(storage) as opened_storage:
        found = opened_storage.runs()  # the oldest first, by number: a clock may have been set back
        compared: dict[str, list[Run]] = {}
        rows = []
        for run in found:
            if run.config.get("comparison") and not (every or json):
                compared.setdefault(run.config["comparison"], []).append(run)
                continue
            evaluations = [e for e in opened_storage.evaluations(run.name) if e.purpose == "search"]
            children = {candidate.id for candidate in opened_storage.candidates(run.name) if candidate.operator != "seed"}
            fitness = [e.metrics["fitness"] for e in evaluations if e.candidate in children and "fitness" in e.metrics]
            rows.append((run, len(children), max(fitness, default=None)))
    if json:
        print_json([{**asdict(run), "children": children, "best_fitness": best} for run, children, best in rows])
        return
    if rows or not compared:
        _print_runs(rows)
    for name, group in compared.items():
        _print_compared(name, group)


def _print_compared(name: str, group: list[Run]) -> None:
    from rich.text import Text

    from nasmith.report.wording import plural

    done = sum(bool(run.finished) for run in group)
    strategies = sorted({run.config["strategy"]["name"] for run in group})
    unfinished = "" if done == len(group) else f", {len(group) - done:,} unfinished"
    size = f"{plural(len(group), 'run')}{unfinished} of {', '.join(strategies)}"
    console().print(Text.assemble((name, "bold"), f"  {size}"), soft_wrap=True)


def _print_runs(rows: list[tuple[Any, int, float | None]]) -> None:
    from rich.table import Table
    from rich.text import Text

    from nasmith.analysis import lm_title
    from nasmith.cli.summary import seconds_between
    from nasmith.report.wording import number

    table = Table(box=None, pad_edge=False)
    for heading in ("run", "strategy", "lm", "began", "took"):
        table.add_column(heading, no_wrap=True)
    table.add_column("children", justify="right")
    table.add_column("best fitness", justify="right")
    for run, children, best in rows:
        took = seconds_between(run.created, run.finished)
        table.add_row(
            Text(run.name, "bold"),
            run.config["strategy"]["name"],
            lm_title(run.config["lm"]),
            run.created[:16].replace("T", " "),
            Text(took, "default" if run.finished else "yellow"),
            f"{children:,}",
            "-" if best is None else number(best),
        )
    console().print(table if rows else "no runs yet. Begin one with: nasmith search mnist1d")


def show(
    run: RunName = None,
    candidate: Annotated[int | None, typer.Argument(help="Number of a candidate, for its story.", show_default=False)] = None,
    cost: Annotated[
        bool, typer.Option("--cost", metavar=FLAG, help="What its language model cost, by model, operator and outcome.")
    ] = False,
    storage: StoragePath = None,
    json: JsonFlag = False,
) -> None:
    """Show a run; or a candidate: lineage, prompt, reply, source, changes against its parents, evaluations."""
    from nasmith.cli.summary import summary

    if cost and candidate is not None:
        raise UsageError(f"--cost is about a whole run: leave out the candidate {candidate}, or --cost.")
    with opened(storage) as opened_storage:
        records, task = records_of(opened_storage, run)
        if cost:
            _show_cost(records, json=json)
        elif candidate is not None:
            item = candidate_of(records, candidate)
            if json:
                print_json(_candidate_json(records, item))
            else:
                _print_candidate(console(), records, item, task)
        elif json:
            print_json(summary(opened_storage, records.run.name, task))
        else:
            _print_run(console(), records, task)


def _show_cost(records: Records, *, json: bool) -> None:
    from nasmith.cli.cost_table import costs_json, print_costs
    from nasmith.costs import costs

    rows = costs(records)
    if json:
        print_json(costs_json(rows))
    else:
        print_costs(console(), records.run.name, rows)


def candidate_of(records: Records, number: int) -> Candidate:
    """Return a candidate of a run.

    Raises:
        UnknownNameError: The run has no candidate of that number.
    """
    if number not in records.candidates:
        ids = list(records.candidates)
        span = [f"{ids[0]} to {ids[-1]}"] if ids else []
        raise UnknownNameError(f"candidate of run {records.run.name!r}:", str(number), span)
    return records.candidates[number]


def _candidate_json(records: Records, candidate: Candidate) -> dict[str, Any]:
    from nasmith import analysis

    completion = records.completion(candidate)
    return {
        **asdict(candidate),
        "evaluations": [{**asdict(e), "metrics": dict(e.metrics)} for e in _plain_evaluations(records, candidate)],
        "completion": None if completion is None else asdict(completion),
        "lineage": [
            {"generations": back, "candidate": item.id} for back, item in analysis.lineage(records.candidates, candidate.id)
        ],
    }


def _plain_evaluations(records: Records, candidate: Candidate) -> list[Any]:
    from dataclasses import replace

    return [replace(evaluation, metrics=dict(evaluation.metrics)) for evaluation in records.of(candidate.id)]


def _print_run(screen: Console, records: Records, task: Task) -> None:
    from rich.table import Table

    from nasmith import analysis
    from nasmith.cli.designs_table import designs_table
    from nasmith.cli.summary import counts_table, leaders_table, seconds_between, verified_table
    from nasmith.protocols import space_of
    from nasmith.report.wording import plural

    run, config = records.run, records.run.config
    total = analysis.totals(records.completions.values(), records.calls)
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="cyan")
    facts.add_row(
        "run", f"{run.name}, begun {run.created[:16].replace('T', ' ')} UTC, {seconds_between(run.created, run.finished)}"
    )
    facts.add_row("task", f"{config['task']['name']}: {task.describe().title}")
    facts.add_row("search", f"{config['strategy']['name']} with {analysis.lm_title(config['lm'])}, seed {config['seed']}")
    if total.completions or space_of(task) is None:
        facts.add_row("LM", f"{plural(total.completions, 'reply')}, {total.tokens_in:,} tokens in, {total.tokens_out:,} out")
    for tuning in records.tunings.values():
        losses = f"loss {tuning.losses[0]:.2f} → {tuning.losses[-1]:.2f}" if tuning.losses else "no losses"
        kept = "" if tuning.accepted else f", not taken over: {tuning.message}"
        facts.add_row("tuning", f"after round {tuning.round + 1}, {plural(tuning.examples, 'example')}: {losses}{kept}")
    screen.print(facts)
    screen.print()
    winners, space = analysis.verified(records, task), space_of(task)
    tables = []
    if not winners or space is None or getattr(task, "resumable", False):
        tables.append(leaders_table(analysis.scored(records), task.objectives))
    if winners:
        of_designs = space is not None and designs_table(winners, task, space, limit=len(winners))
        tables.append(of_designs or verified_table(winners, task.objectives))
    for table in tables:
        screen.print(table)
        screen.print()
    screen.print(counts_table(records))
    screen.print(f"\n[dim]One candidate: nasmith show {run.name} NUMBER[/]")


def _print_candidate(screen: Console, records: Records, candidate: Candidate, task: Task) -> None:
    from rich.rule import Rule
    from rich.syntax import Syntax
    from rich.text import Text

    from nasmith import analysis
    from nasmith.protocols import space_of

    def heading(text: str) -> None:
        screen.print()
        screen.print(Rule(Text(text, "bold"), align="left", style="dim"))

    title = f"Candidate {candidate.id}" + (f", the seed {candidate.label}" if candidate.label else "")
    how = "" if candidate.operator == "seed" else f": {candidate.operator} in round {candidate.round + 1}"
    screen.print(Text.assemble((title, "bold cyan"), how))
    for back, item in analysis.lineage(records.candidates, candidate.id)[1:]:
        screen.print(Text("  " * back + f"from #{item.id} {item.label or item.operator}", "dim"))
    heading("Evaluations")
    _print_evaluations(screen, records, candidate, task)
    completion = records.completion(candidate)
    if completion is not None:
        heading(f"Prompt ({completion.model})")
        screen.print(Syntax(completion.prompt, "python", theme="ansi_dark", background_color="default", word_wrap=True))
        heading(f"Reply ({completion.tokens_out} tokens, {completion.seconds:.1f} s)")
        screen.print(Syntax(completion.text, "python", theme="ansi_dark", background_color="default", word_wrap=True))
    heading("Source")
    screen.print(Syntax(candidate.text, "python", theme="ansi_dark", background_color="default", word_wrap=True))
    for parent in dict.fromkeys(candidate.parents) if space_of(task) is None else ():
        changes = analysis.diff(records.candidates[parent], candidate)
        heading(f"Changes against #{parent}" if changes else f"The same text as #{parent}")
        if changes:
            screen.print(Syntax(changes, "diff", theme="ansi_dark", background_color="default", word_wrap=True))


def _print_evaluations(screen: Console, records: Records, candidate: Candidate, task: Task) -> None:
    from rich.text import Text

    from nasmith.cli.progress import STATUS_STYLES
    from nasmith.report.wording import number, words

    for evaluation in records.of(candidate.id):
        line = Text(f"{evaluation.purpose} ").append(evaluation.status.value, STATUS_STYLES[evaluation.status])
        line.append(f" seed {evaluation.seed}, {evaluation.seconds:.1f} s", "dim")
        if evaluation.metrics:
            line.append("  " + ", ".join(f"{words(key)} {number(value)}" for key, value in evaluation.metrics.items()))
        if evaluation.message:
            line.append(f"  {evaluation.message}")
        screen.print(line)
