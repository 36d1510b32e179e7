"""A redirect with Flask and nothing else: no database, no click."""

from flask import Flask, redirect
from werkzeug.wrappers import Response

app = Flask(__name__)


@app.get("/<code>")
def follow(code: str) -> Response:
    """Redirect to where the bench's link with this code leads."""
    return redirect(f"https://example.com/{code[1:]}", 302)
