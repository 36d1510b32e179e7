"""The address of the database, in the spellings of providers and tutorials.

PyMySQL would take each parameter of the address as an argument. So a parameter that is spelled for
another client would end in an error at the first connection, and some would weaken TLS.
"""

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

FORM = "Must be mysql+pymysql://user:password@host/database or sqlite:///file."
ON = {"1", "on", "true", "yes"}
# Parameters that ask for what the service always does: TLS with a verified certificate, and
# utf8mb4. By their name in lower case, without `-` and `_`: the values that are understood.
ALWAYS = {
    "ssl": {*ON, "require", "required", '{"rejectunauthorized":true}'},
    "sslmode": {
        *("prefer", "preferred", "require", "required"),
        *("verify-ca", "verify-full", "verify-identity"),
    },
    "sslaccept": {"strict"},
    "requiressl": ON,
    "sslverifycert": ON,
    "sslverifyidentity": ON,
    "tls": ON,
    "usessl": ON,
    "verifyservercertificate": ON,
    "charset": {"utf-8", "utf8", "utf8mb4"},
    "characterencoding": {"utf-8", "utf8", "utf8mb4"},
    "useunicode": ON,
}
CHARSETS = {"charset", "characterencoding", "useunicode"}
CA_FILES = {"sslca", "sslcafile", "sslcert", "sslrootcert", "servercertificate"}


def parse_database_url(text: str) -> URL:
    """Return the address for SQLAlchemy, without parameters.

    `mysql://` is the same as `mysql+pymysql://`. A password can contain any characters, but `%`
    followed by two hexadecimal digits is one character.

    :raises ValueError: the address can't be used. The message says what to write, without any part
        of the user, the password or the host.
    """
    if text.startswith("mysql"):  # a host has no "@", so the last one ends the password
        before, at, after = text.rpartition("@")
        text = before.replace("@", "%40") + at + after
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ValueError(FORM) from None
    if url.drivername == "mysql":
        url = url.set(drivername="mysql+pymysql")
    is_whole = url.database not in {None, "", ":memory:"}
    if url.drivername == "mysql+pymysql":
        is_whole = is_whole and bool(url.host)
    elif url.drivername != "sqlite":
        is_whole = False
    if not is_whole:
        raise ValueError(FORM)
    for name, values in url.normalized_query.items():
        plain = name.lower().replace("-", "").replace("_", "")
        understood = ALWAYS.get(plain, set()) if url.drivername != "sqlite" else set()
        if not {value.lower().replace("_", "-").replace(" ", "") for value in values} <= understood:
            raise ValueError(_advice(name, plain))
    return url.set(query={})


def _advice(name: str, plain: str) -> str:
    if plain in CA_FILES:
        return f"Remove {name} from it, and set DATABASE_CA_FILE to the path of the file."
    if plain in CHARSETS:
        return f"Remove {name} from it: the service always uses utf8mb4."
    if plain in ALWAYS:
        return (
            f"Remove {name} from it: the service always uses TLS and verifies the certificate. For"
            " your own certificate authority, set DATABASE_CA_FILE."
        )
    return f"Remove {name} from it: the service sets everything about its connections itself."
