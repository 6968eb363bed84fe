"""`python -m opselect` is the command line."""

from opselect.bench.cli.app import main

main()
