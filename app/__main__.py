"""`python -m app`: the command line, without the program `slipway`."""

from app.cli import main

main()
