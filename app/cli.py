"""The command line: `slipway tokens …`. Features add commands to it."""

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

tokens = AppGroup("tokens", help="Create, list and revoke API tokens.")


def init_app(app: Flask) -> None:
    """Add the commands to Flask's command line."""
    app.cli.help = "Manage the service. Its settings are read from environment variables."
    app.cli.add_command(tokens)


def main() -> None:
    """Run the command line.

    If a setting is wrong or the database is unavailable, print one line and exit with status 1.
    """
    from app import create_app  # noqa: PLC0415 `app` imports this module

    try:
        with create_app().app_context() as context:
            context.app.cli.main(prog_name="slipway")
    except SettingsError as error:
        sys.exit(f"slipway: {error}")
    except UNAVAILABLE as error:
        reason = getattr(error, "orig", error)
        sys.exit(f"slipway: the database is not available: {reason}")


def _timespan(_context: object, _option: object, value: str | None) -> timedelta | None:
    if value is None:
        return None
    found = re.fullmatch(r"([1-9]\d{0,4})([dhm])", value, flags=re.ASCII)
    if not found:
        raise click.BadParameter(
            "must be a number from 1 to 99999 and a unit (d, h or m), for example 90d."
        )
    return timedelta(**{UNITS[found[2]]: int(found[1])})


@tokens.command()
@click.argument("name")
@click.option(
    "--scope",
    type=click.Choice(SCOPES),
    default="write",
    show_default=True,
    help="read: the token can only read. write: it can also create, change and delete. admin: it"
    " can also see and revoke the tokens of others.",
)
@click.option(
    "--expires",
    callback=_timespan,
    help="Lifetime in days, hours or minutes, for example 90d, 12h or 30m. Default: never expires.",
)
def create(name: str, scope: str, expires: timedelta | None) -> None:
    """Create a token and print it.

    Copy the token now: it can't be shown again, because only its hash is stored. NAME identifies it
    in the other commands.
    """
    if not 1 <= len(name) <= NAME_LENGTH or not name.isprintable():
        message = f"must be 1 to {NAME_LENGTH} printable characters."
        raise click.BadParameter(message, param_hint="NAME")
    try:
        token = create_token(database(), name, scope, expires)
    except IntegrityError:
        message = f"A token named {name!r} already exists. Choose another name, or revoke it."
        raise click.ClickException(message) from None
    click.echo(f"Created token {name!r} with scope {scope}. Copy it now:", err=True)
    click.echo(token)


@tokens.command("list")
def list_tokens() -> None:
    """List all tokens: name, scope, times (UTC), and the person that it belongs to.

    The tokens themselves are not shown, because only their hashes are stored.
    """
    with database().read() as connection:
        rows = connection.execute(select(TOKENS).order_by(TOKENS.c.name)).all()
    row = "{:<20} {:<6} {:<20} {:<20} {:<20} {}"
    click.echo(row.format("NAME", "SCOPE", "CREATED", "EXPIRES", "LAST USED", "PERSON"))
    for token in rows:
        times = (token.created_at, token.expires_at, token.last_used_at)
        shown = (f"{time:%Y-%m-%dT%H:%M:%SZ}" if time else "-" for time in times)
        click.echo(row.format(token.name, token.scope, *shown, token.person_name or "").rstrip())


@tokens.command()
@click.argument("name")
def revoke(name: str) -> None:
    """Revoke a token immediately.

    Requests with this token then get 401, and browsers that signed in with it are signed out.
    """
    if not revoke_token(database(), name):
        hint = "To see all names, run: slipway tokens list"
        raise click.ClickException(f"No token is named {name!r}. {hint}")
    click.echo(f"Revoked token {name!r}.", err=True)
