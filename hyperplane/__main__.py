"""`python -m hyperplane`: the same as the command `hyperplane`."""

from hyperplane.cli import main

if __name__ == "__main__":  # pragma: no branch - imported, it does nothing
    main()
