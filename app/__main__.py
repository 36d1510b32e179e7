"""`python -m app`: the command line, for use without the program `slipway`."""

from app.cli import main

main()
