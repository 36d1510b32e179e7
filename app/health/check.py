"""Ask this container's own server for a path: `python3 -IS app/health/check.py /livez`.

Exit status 0 on a 200; on anything else, redirects included, 1 and one line with the reason.
Run it by path, so that it imports neither the service nor any package.
"""

import http.client
import sys

PORT = 8000
TIMEOUT = 3


def failure(path: str) -> str | None:
    """Return what is wrong with the answer to `GET path`, or None for a 200."""
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
