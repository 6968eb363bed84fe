"""Commands about what is registered, by this package and by plug-ins: list, conformance and new."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from opselect.bench.cli.options import JsonOption
from opselect.bench.cli.output import print_json


def list_names(
    kind: Annotated[
        str | None,
        typer.Argument(
            help="spaces, images, tables, selectors, scores, proxies or combinations, by default all of these; "
            "or genotypes."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List what is registered, from this package and from installed plug-ins; or the published genotypes.

    Example: `opselect list proxies`
    """
    from opselect.spaces import registry
    from opselect.spaces.darts.genotypes import library
    from opselect.spaces.files import imported_tables

    kinds = (*registry.KINDS, "genotypes")
    if kind is not None and kind not in kinds:
        raise registry.UnknownName(f"no kind of things named {kind!r}{registry.did_you_mean(kind, kinds)}")
    if kind == "genotypes":
        listed = {kind: tuple(library())}
    else:
        listed = {name: registry.names(name) for name in ([kind] if kind else registry.KINDS)}
    if "tables" in listed:
        listed["tables"] = tuple(sorted(imported_tables().union(listed["tables"])))
    if as_json:
        print_json(listed)
    else:
        for heading, names in listed.items():
            print(f"{heading}: {', '.join(names)}")


def conformance(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Anything that 'opselect list' shows.")],
    kind: Annotated[
        str | None, typer.Option(help="selectors, proxies, ...: which of the parts with this name; all by default.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="A setting of the selector as KEY=VALUE; may be repeated.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check what a selector, score, proxy, combination, space, table or images promise; plug-ins and ours alike.

    Prints a line for each promise: kept, broken and how to mend it, or not applicable and why. Runs on digits201, on
    the CPU, in seconds. Exits with 1 if a promise is broken.

    Example: `opselect conformance zero-cost-pt --set proxy=synflow`
    """
    from dataclasses import asdict

    from opselect.bench.conformance import run as conforming
    from opselect.bench.runs.select import parse_setting
    from opselect.spaces import registry

    if kind is not None and kind not in registry.KINDS:
        raise registry.UnknownName(f"no kind of things named {kind!r}{registry.did_you_mean(kind, registry.KINDS)}")
    changes = dict(parse_setting(text, "proxy=nwot") for text in settings or [])
    outcomes = []
    for examined in conforming.kinds_of(name) if kind is None else (kind,):
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
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder in which the new folder is made.")] = Path(),
) -> None:
    """Write a new package of your own selector, score, proxy, space or table, with its tests.

    What its parts do is an example to be changed; it installs, runs and passes its tests as it is.

    Example: `opselect new my_selector --parts selector,score`
    """
    from opselect.bench.plug_ins.new import write_plug_in

    folder = write_plug_in(name, [part.strip() for part in parts.split(",") if part.strip()], output)
    print(f"{folder}: a new plug-in; its README.md says how to go on. Install and check it with")
    print(f"  pip install --editable {shlex.quote(str(folder))} && opselect conformance {name.replace('_', '-')}")
