"""`python -m opselect` is the command line."""

from opselect.bench.cli.app import main

if __name__ == "__main__":
    main()
