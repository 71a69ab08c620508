"""`mcctl pipeline`: write, check and try a pipeline file. No cluster is needed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mcctl.pipeline_show import steps_blocks, steps_value, trial_blocks, trial_value
from mcctl.show import emit, next_step, note
from multicloud.errors import McError

if TYPE_CHECKING:
    from nodeagent.process.trial import Trial

app = typer.Typer(no_args_is_help=True)
LIBRARIES = ("polars", "pyarrow", "zstandard")

File = Annotated[Path, typer.Argument(metavar="FILE", help="A pipeline.", show_default=False)]
Allowed = Annotated[
    list[str] | None,
    typer.Option(
        "--allow",
        metavar="MODULE:FUNCTION",
        help="What `python` steps may call, as process.calls of the nodes says; repeatable.",
        show_default=False,
    ),
]


@app.command()
def init(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where.")] = Path("pipeline.toml"),
) -> None:
    """Write a pipeline to start from. An existing file is left alone (exit 2)."""
    with _libraries():
        from nodeagent.process.pipeline_file import EXAMPLE
    try:
        with file.open("x") as out:
            out.write(EXAMPLE)
    except FileExistsError as error:
        raise McError("ALREADY_EXISTS", f"{file} is there already", next="name another") from error
    except OSError as error:
        what = f"{file} cannot be written: {error.strerror}"
        raise McError("USAGE", what, next="check the path") from error
    emit({"file": str(file)}, f"{file} is written")
    next_step(f"`mcctl pipeline try {file} SAMPLE` shows what it does to a file")


@app.command()
def check(file: File, allow: Allowed = None) -> None:
    """Name every fault of FILE: line, key, rule, nearest right name. Exit 2 when there is one."""
    with _libraries():
        from nodeagent.process.described import pipeline_facts
        from nodeagent.process.trial import read_pipeline
    pipeline = read_pipeline(file, allow)
    facts = pipeline_facts(pipeline)
    emit({"file": str(file), "ok": True, **facts}, f"{file} is right: {facts['hash']}")
    if pipeline.calls and allow is None:
        note(f"nodes must allow-list what it calls: {', '.join(pipeline.calls)}")


@app.command()
def steps(
    step: Annotated[str, typer.Argument(metavar="[STEP]", help="Only this one.")] = "",
) -> None:
    """Every step that a pipeline may use, with its options and an example."""
    with _libraries():
        value = steps_value(step)
    emit(value, steps_blocks(value, full=bool(step)))


@app.command("try")
def try_(
    file: File,
    sample_file: Annotated[
        Path, typer.Argument(metavar="SAMPLE", help="A file of records.", show_default=False)
    ],
    sample: Annotated[
        int, typer.Option("--sample", min=1, max=100_000, help="So many records from its start.")
    ] = 100,
    show: Annotated[
        int, typer.Option("--show", min=1, help="So many of them on the screen; -o json has all.")
    ] = 5,
    allow: Allowed = None,
    python_path: Annotated[
        list[Path] | None,
        typer.Option(
            "--python-path",
            metavar="FOLDER",
            help="Where modules of `python` steps are; else the current folder.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Run FILE over the first records of SAMPLE: before, after, and what would be quarantined."""
    with _libraries():
        from nodeagent.process.trial import read_pipeline, try_file
    pipeline = read_pipeline(file, allow or [])
    folders = [str(folder.absolute()) for folder in python_path or [Path()]]
    found: Trial = try_file(pipeline, sample_file, sample, folders)
    emit(trial_value(found, sample_file), trial_blocks(found, show))
    if found.hopeless:
        note(f"a job with such records would stop: {found.hopeless}")


@contextmanager
def _libraries() -> Iterator[None]:
    """What runs pipelines is no part of the plain SDK."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in LIBRARIES:
            raise
        raise McError(
            "EXTRA_MISSING",
            f"pipelines need {error.name}, which is not installed",
            next="install the extra: `pip install 'multicloud[process]'`",
        ) from error
