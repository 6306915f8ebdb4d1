"""Run the command line as ``python -m findna``."""

from findna.cli import main

if __name__ == "__main__":
    main()
