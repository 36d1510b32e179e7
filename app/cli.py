"""The command line: `slipway tokens …`. Features add their own commands to it."""

import re
import sys
from datetime import timedelta

import click
from flask import Flask
from flask.cli import AppGroup
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from app.config import SettingsError
from app.database import database
from app.database.errors import UNAVAILABLE
from app.identity.tokens import NAME_LENGTH, SCOPES, TOKENS, create_token, revoke_token

UNITS = {"d": "days", "h": "hours", "m": "minutes"}

tokens = AppGroup("tokens", help="Make, list and revoke the tokens of the API.")


def init_app(app: Flask) -> None:
    """Add the commands."""
    app.cli.add_command(tokens)


def main() -> None:
    """Run the command line. If the database is unavailable, it says so in one line."""
    from app import create_app  # noqa: PLC0415 which imports this module

    try:
        with create_app().app_context() as context:
            context.app.cli.main(prog_name="slipway")
    except SettingsError as error:
        sys.exit(f"slipway: {error}")
    except UNAVAILABLE as error:
        sys.exit(f"slipway: the database does not answer: {getattr(error, 'orig', error)}")


def _timespan(_context: object, _option: object, value: str | None) -> timedelta | None:
    if value is None:
        return None
    found = re.fullmatch(r"([1-9]\d{0,4})([dhm])", value, flags=re.ASCII)
    if not found:
        raise click.BadParameter("must be a number of d(ays), h(ours) or m(inutes): 90d")
    return timedelta(**{UNITS[found[2]]: int(found[1])})


@tokens.command()
@click.argument("name")
@click.option("--scope", type=click.Choice(SCOPES), default="write", show_default=True)
@click.option("--expires", callback=_timespan, help="In what time, such as 90d or 12h.")
def create(name: str, scope: str, expires: timedelta | None) -> None:
    """Make a token and print it. It can't be shown again."""
    if not 1 <= len(name) <= NAME_LENGTH or not name.isprintable():
        message = f"must have 1 to {NAME_LENGTH} printable characters"
        raise click.BadParameter(message, param_hint="NAME")
    try:
        token = create_token(database(), name, scope, expires)
    except IntegrityError:
        raise click.ClickException(f"There is a token {name!r} already.") from None
    click.echo(f"Token {name!r}, scope {scope}. It is shown only now:", err=True)
    click.echo(token)


@tokens.command("list")
def list_tokens() -> None:
    """Show all tokens, without what they are."""
    with database().read() as connection:
        rows = connection.execute(select(TOKENS).order_by(TOKENS.c.name)).all()
    row = "{:<20} {:<6} {:<20} {:<20} {:<20}"
    click.echo(row.format("NAME", "SCOPE", "CREATED", "EXPIRES", "LAST USED").rstrip())
    for token in rows:
        times = (token.created_at, token.expires_at, token.last_used_at)
        shown = (f"{time:%Y-%m-%dT%H:%M:%SZ}" if time else "-" for time in times)
        click.echo(row.format(token.name, token.scope, *shown).rstrip())


@tokens.command()
@click.argument("name")
def revoke(name: str) -> None:
    """Make a token worthless, from now on."""
    if not revoke_token(database(), name):
        raise click.ClickException(f"There is no token {name!r}.")
    click.echo(f"Token {name!r} is revoked.", err=True)
