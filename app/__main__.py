"""`python -m app`: the command line where `slipway` is not installed."""

from app.cli import main

main()
