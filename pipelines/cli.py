"""The command line: signatures and help. Every command imports its work when it runs, so `--help` is quick.

Exit codes: 0 done, 2 wrong input (one message, no traceback), 1 a fault of the program, 130 interrupted.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from backbones.errors import EnsembleError, InputError, reason_of
from pipelines.command.data import app as data_app
from pipelines.command.evaluate import evaluate
from pipelines.command.explain import explain
from pipelines.command.export import export
from pipelines.command.members import app as members_app
from pipelines.command.option import Data, Device, Members, OwnCommittee, Quiet, Weights
from pipelines.command.pack import pack
from pipelines.command.predict import predict
from pipelines.command.report import report
from pipelines.command.verify import verify
from pipelines.command.weights import app as weights_app
from pipelines.environment import prepare_environment
from pipelines.plain_name import plain_text
from pipelines.termination import terminable

__all__ = ["app", "main"]

app = typer.Typer(
    name="ensemble",
    help="Facial expression recognition by committees of transfer-learned networks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(members_app, name="members")
app.add_typer(weights_app, name="weights")
app.add_typer(data_app, name="data")


@app.command()
def fit(
    members: Members = Path("members.yaml"),
    data: Data = None,
    out: Annotated[Optional[Path], typer.Option(help="Folder of the committee [mlruns/committees/NAME].")] = None,  # noqa: UP045
    weights: Weights = None,
    device: Device = None,
    jobs: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, help="Members trained at the same time [one per core up to 4; 1 on a GPU]."),
    ] = None,
    track: Annotated[bool, typer.Option("--track/--no-track", help="Log to MLflow.")] = True,
    system_metrics: Annotated[
        Optional[bool],  # noqa: UP045
        typer.Option("--system-metrics/--no-system-metrics", help="Log the machine's load to MLflow as well [no]."),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Train or resume all members, fit and track the committee."""
    from pipelines.plan import make_plan

    plan = make_plan(members, data=data, weights_folders=weights or [])  # tells mistakes before torch is loaded
    from pipelines.committee_fit import fit_committee

    fit_committee(plan, out=out, device=device, jobs=jobs, track=track, system_metrics=system_metrics, quiet=quiet)


@app.command()
def tune(
    members: Members = Path("members.yaml"),
    member: Annotated[Optional[str], typer.Option(help="Member to tune; overrides the YAML's.")] = None,  # noqa: UP045
    trials: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, help="Trials wanted in all; overrides the YAML's. A larger number goes on."),
    ] = None,
    data: Data = None,
    folds: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, help="Cross-validation folds in the training split; 1 judges on the validation split."),
    ] = None,
    weights: Weights = None,
    device: Device = None,
    out: Annotated[Optional[Path], typer.Option(help="Folder of the search [mlruns/tune/NAME-MEMBER].")] = None,  # noqa: UP045
    track: Annotated[bool, typer.Option("--track/--no-track", help="Log to MLflow.")] = True,
    quiet: Quiet = False,
) -> None:
    """Search hyper-parameters; resumes.

    One member's, as the YAML's `tune:` says.
    """
    from pipelines.plan import make_plan

    given = {"member": member, "trials": trials, "folds": folds}
    overrides = {key: value for key, value in given.items() if value is not None}
    plan = make_plan(members, data=data, weights_folders=weights or [], tune=overrides)
    from pipelines.tune import tune_member

    tune_member(plan, out=out, device=device, track=track, quiet=quiet)


app.command()(predict)
app.command()(verify)
app.command()(explain)
app.command()(export)
app.command()(pack)


app.command()(evaluate)
app.command()(report)


@app.command()
def fuse(
    committee: OwnCommittee = None,
    rule: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Fuse all members, or their groups, by this rule from now on."),
    ] = None,
    groups: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Group all members by `family`, `input` or `disagreement`, and fuse the groups."),
    ] = None,
    prune: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Keep at most so many members, in a committee of its own."),
    ] = None,
    budget_ms: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Keep members that together take at most so many milliseconds per face and view."),
    ] = None,
    out: Annotated[Optional[Path], typer.Option(help="Folder of the smaller committee [COMMITTEE-pruned].")] = None,  # noqa: UP045
) -> None:
    """Refit the rules, or leave members out.

    From the stored probabilities: no network runs.
    """
    if prune is None and budget_ms is None:
        from pipelines.fuse import fuse_committee

        fuse_committee(committee, rule=rule, groups=groups)
        return
    if rule is not None or groups is not None:
        message = "Expected `--rule` and `--groups` without `--prune` and `--budget-ms`. Call `ensemble fuse` for each."
        raise InputError(message)
    from pipelines.prune import prune_committee

    prune_committee(committee, count=prune, budget_ms=budget_ms, out=out)


@app.command()
def ui(
    port: Annotated[int, typer.Option(help="Port on this machine.")] = 5000,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    browse: Annotated[bool, typer.Option("--open/--no-open", help="Open a browser on it.")] = False,
) -> None:
    """Show members side by side in MLflow."""
    from pipelines.ui import serve_ui
    from pipelines.workspace import Workspace

    raise typer.Exit(serve_ui(Workspace(), host=host, port=port, browse=browse))


def main() -> None:
    """Entry point of the `ensemble` script."""
    prepare_environment()
    try:
        _require_place()
        with terminable():
            app()
    except InputError as error:
        _end(str(error), 2)
    except EnsembleError as error:
        _end(str(error), 1)
    except OSError as error:
        from pipelines.atomic import DISK_ERRORS, explain_os_error

        if error.errno not in DISK_ERRORS:
            raise
        _end(explain_os_error(error), 2)
    except (MemoryError, RuntimeError) as error:
        _end_for_memory(error)
    except (KeyboardInterrupt, SystemExit) as ending:
        if getattr(ending, "code", 130) != 130:
            raise
        _end("interrupted; finished work is kept, the same command resumes fit and tune.", 130)


def _require_place() -> None:
    """Refuse to work in a folder that is gone, which libraries tell in words of their own."""
    try:
        Path.cwd()
    except FileNotFoundError:
        raise InputError("Expected the working directory to exist, but it is gone. Change to another one.") from None


def _end_for_memory(error: Exception) -> None:
    """End with one message if it was raised for lack of memory."""
    from pipelines.out_of_memory import is_out_of_memory

    if not is_out_of_memory(error):
        raise error
    reason = reason_of(error, length=160)
    _end(f"Expected enough memory, but got: {reason}. Lower views, jobs or batch size; what was finished is kept.", 2)


def _end(message: str, code: int) -> None:
    typer.echo(f"ensemble: {plain_text(message)}", err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
