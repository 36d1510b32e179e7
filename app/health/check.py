"""Check this container's own server: `python3 -IS app/health/check.py /livez`.

The exit status is 0 if `GET /livez` returns 200. Otherwise, and for redirects too, it is 1, and one
line on standard error says why. Run it by its path, so that it imports neither the service nor any
package.
"""

import http.client
import sys

PORT = 8000
TIMEOUT = 3  # seconds


def failure(path: str) -> str | None:
    """Return why `GET path` failed, or None if it returned 200."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=TIMEOUT)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
    except (OSError, http.client.HTTPException) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        connection.close()
    return None if response.status == http.client.OK else f"{response.status} {response.reason}"


if __name__ == "__main__":
    sys.exit(failure(sys.argv[1]))
