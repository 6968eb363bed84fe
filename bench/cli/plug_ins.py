"""Commands about what is registered, by this package and by plug-ins: list, show, conformance and new."""

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from opselect.bench.cli import complete
from opselect.bench.cli.options import JsonOption, SettingsOption, check_known
from opselect.bench.cli.output import page_console, print_json

NameArgument = Annotated[
    str,
    typer.Argument(metavar="NAME", help="Anything that 'opselect list' shows.", autocompletion=complete.registered),
]
KindOption = Annotated[
    str | None,
    typer.Option(
        metavar="KIND",
        help="selectors, proxies, ...: which of the parts with this name; all by default.",
        autocompletion=complete.kinds,
    ),
]


def list_names(
    kind: Annotated[
        str | None,
        typer.Argument(
            metavar="KIND",
            help="spaces, images, tables, selectors, supernets, scores, proxies, combinations or experiments, by "
            "default all of these; or genotypes.",
            autocompletion=complete.kinds,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List what is registered, from this package and from installed plug-ins, with a line about each.

    Example: `opselect list proxies`
    """
    from opselect.spaces import registry

    kinds = (*registry.KINDS, *complete.LISTED_APART)
    if kind is not None:
        check_known("kind of things", kind, kinds)

    from opselect.bench.cli import descriptions

    listed = {
        name: descriptions.first_lines(name) for name in ([kind] if kind else kinds) if kind or name != "genotypes"
    }
    if as_json:
        print_json(listed)
        return
    console = page_console()
    for number, (heading, lines) in enumerate(listed.items()):
        console.print(f"{chr(10) if number else ''}{heading}:", style="bold", highlight=False)
        descriptions.print_lines(lines, console)


def show(name: NameArgument, kind: KindOption = None, as_json: JsonOption = False) -> None:
    """Say what a registered part is: its description, its settings with types and defaults, and where it comes from.

    Experiments that the package ships and published genotypes are shown as well.

    Example: `opselect show zero-cost-pt`
    """
    kinds = _kinds_of(name, kind, complete.LISTED_APART)

    from opselect.bench.cli import descriptions

    found = [descriptions.describe(each, name) for each in kinds]
    if as_json:
        print_json([asdict(description) for description in found])
        return
    for number, description in enumerate(found):
        if number:
            print()
        descriptions.print_description(description, page_console())


def _kinds_of(name: str, kind: str | None, others: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The kinds under which a name is known, or the given one.

    Raises:
        UnknownName: There is no such kind, or nothing has this name; the message offers the nearest ones.
    """
    from opselect.bench.experiment.shipped import shipped_names
    from opselect.spaces import registry
    from opselect.spaces.darts.genotypes import library
    from opselect.spaces.files import imported_tables

    known: dict[str, tuple[str, ...]] = {each: registry.names(each) for each in registry.KINDS}
    known |= {each: shipped_names() if each == "experiments" else tuple(library()) for each in others}
    if others:
        known["tables"] = tuple(sorted(imported_tables().union(known["tables"])))
    if kind is not None:
        check_known("kind of things", kind, tuple(known))
        check_known(registry.SINGULAR.get(kind, kind.removesuffix("s")), name, known[kind])
        return (kind,)
    if found := tuple(each for each, names in known.items() if name in names):
        return found
    every = tuple(dict.fromkeys(each for names in known.values() for each in names))
    raise registry.UnknownName(f"nothing is registered as {name!r}{registry.did_you_mean(name, every)}")


def conformance(
    name: NameArgument,
    kind: KindOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check what a selector, score, proxy, combination, space, table or images promise; plug-ins and ours alike.

    Prints a line for each promise: kept, broken and how to mend it, or not applicable and why. Runs on digits201, on
    the CPU, in seconds. Exits with 1 if a promise is broken.

    Example: `opselect conformance zero-cost-pt --set proxy=synflow`
    """
    kinds = _kinds_of(name, kind)

    from opselect.bench.conformance import run as conforming
    from opselect.bench.runs.select import parse_setting
    from opselect.spaces import registry

    changes = dict(parse_setting(text, "proxy=nwot") for text in settings or [])
    outcomes = []
    for examined in kinds:
        checks = conforming.examine(examined, name, changes if examined == "selectors" else {})
        for number, outcome in enumerate(checks):
            outcomes.append(outcome)
            if not as_json:
                heading = f"{registry.SINGULAR[examined]} {name}\n" if number == 0 else ""
                print(f"{heading}  {conforming.line_of(outcome)}", flush=True)
    if as_json:
        print_json([asdict(outcome) for outcome in outcomes])
    if any(outcome.status == "broken" for outcome in outcomes):
        raise typer.Exit(1)


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the Python package, for example my_selector.")],
    parts: Annotated[
        str, typer.Option(metavar="PART,...", help="What the package has: proxy, score, selector, space, table.")
    ] = "proxy,score,selector",
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="PATH", help="Folder in which the new folder is made.")
    ] = Path(),
) -> None:
    """Write a new package of your own selector, score, proxy, space or table, with its tests.

    What its parts do is an example to be changed; it installs, runs and passes its tests as it is.

    Example: `opselect new my_selector --parts selector,score`
    """
    from opselect.bench.plug_ins.new import write_plug_in

    folder = write_plug_in(name, [part.strip() for part in parts.split(",") if part.strip()], output)
    print(f"{folder}: a new plug-in; its README.md says how to go on. Install and check it with")
    print(f"  pip install --editable {shlex.quote(str(folder))} && opselect conformance {name.replace('_', '-')}")
