"""The command line: its commands in their order, and how they end.

Each command is a function of a sibling module, and its docstring is the help that users read. Nothing heavy is imported
before a command needs it, so that help comes at once.
"""

import re
import shlex
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from opselect.bench.cli import compare, networks, plug_ins, run, tables
from opselect.bench.runtime.log import print_warnings
from opselect.spaces.errors import UserError, printable

ENDED_BY = (130, 143)
"""Exit statuses after Ctrl-C and the signal TERM: 128 plus the number of the signal."""

# typer has the error of wrong usage from click or from a copy of it, and offers by name only this subclass.
USAGE_ERROR: Any = typer.BadParameter.__base__

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
table_app = typer.Typer(
    no_args_is_help=True,
    help="Tables of accuracies.\n\nExample: `opselect table info digits201`",
    rich_markup_mode="markdown",
)


def _print_version(wanted: bool) -> bool:
    if wanted:
        from importlib.metadata import version

        print(f"opselect {version('opselect')}")
        raise typer.Exit
    return wanted


@app.callback()
def main_options(
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Compare operation selectors for differentiable architecture search on the same supernets.

    Example: `opselect run digits201 && opselect report runs/digits201`
    """


# In the order of the help.
app.command()(run.run)
app.command()(run.report)
app.command()(compare.check)
app.command()(run.reproduce)
app.command()(compare.plan)
app.command("list")(plug_ins.list_names)
app.command()(plug_ins.show)
app.command()(plug_ins.conformance)
app.command()(plug_ins.new)
app.command()(run.select)
app.command()(networks.proxies)
app.command()(networks.train)
app.command()(networks.draw)
app.command()(compare.published)
app.add_typer(table_app, name="table")
table_app.command("build")(tables.build)
table_app.command("import")(tables.import_table)
table_app.command("compare")(tables.compare)
table_app.command("info")(tables.info)
table_app.command("query")(tables.query)


def main() -> None:
    """Run the command line; what the user can mend is one sentence on the error stream and exit status 2.

    Ctrl-C and the signal TERM end it with 130 and 143, as shells expect, and a sentence about how to go on.
    """
    print_warnings()
    status: object = 2
    try:
        with _ending_cleanly():
            status = app(prog_name="opselect", standalone_mode=False)
    except UserError as error:
        print(f"opselect: {error}", file=sys.stderr)
    except USAGE_ERROR as error:
        # Without arguments, the help has been printed.
        if type(error).__name__ != "NoArgsIsHelpError":
            print(f"opselect: {_usage_sentence(error)}", file=sys.stderr)
    except OSError as error:
        print(f"opselect: {error.filename or 'writing'}: {error.strerror or error}", file=sys.stderr)
    except SystemExit as end:
        status = end.code
    if status in ENDED_BY:
        again = shlex.join(["opselect", *sys.argv[1:]])
        print(
            f"opselect: stopped; what was finished is kept, the same command goes on from there: {again}",
            file=sys.stderr,
        )
    if status:
        sys.exit(status if isinstance(status, int) else 1)


def _usage_sentence(error: Any) -> str:
    """What is wrong with the arguments, in one sentence with the command whose help says more."""
    message = printable(" ".join(error.format_message().split()).rstrip(".?"))
    message, guesses = re.subn(r"\.? \(?(?:Did you mean|Possible options:) (.*?)\)?$", r"; did you mean \1", message)
    command = error.ctx.command_path if error.ctx else "opselect"
    return f"{message[:1].lower()}{message[1:]}{'?' if guesses else ';'} see '{command} --help'"


@contextmanager
def _ending_cleanly() -> Iterator[None]:
    """End the block at the first Ctrl-C or TERM, and ignore further ones while it cleans up, a second or two."""

    def end(number: int, _: object) -> None:
        for caught in before:
            signal.signal(caught, signal.SIG_IGN)
        sys.exit(128 + number)

    # What is ignored stays so: nohup and scripts want it. Only the main thread may install handlers.
    in_main_thread = threading.current_thread() is threading.main_thread()
    before = {
        number: handler
        for number in (signal.SIGINT, signal.SIGTERM)
        if in_main_thread and (handler := signal.getsignal(number)) not in (signal.SIG_IGN, None)
    }
    for number in before:
        signal.signal(number, end)
    try:
        yield
    finally:
        # A signal that has arrived stays ignored until the process ends.
        for number, handler in before.items():
            if signal.getsignal(number) is end:
                signal.signal(number, handler)


if __name__ == "__main__":
    main()
