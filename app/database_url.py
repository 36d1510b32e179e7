"""The address of the database: which spellings are understood, and what others should be.

Providers, tutorials and other drivers add options to it, after `?`. PyMySQL would be given these
unchecked, and fail at each connection, or weaken TLS or the character set. So options that ask for
what the service does anyway are dropped, and all others are refused.
"""

import re
from urllib.parse import parse_qsl

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

FORM = "Must be mysql+pymysql://user:password@host[,host]/database or sqlite:///file."
SCHEME = (
    "Must begin with mysql+pymysql:// or mysql://. Other drivers are not used. The port is that of"
    " the classic protocol, usually 3306."
)
ONE_HOST = "Must have one host, because replicas don't accept writes."
AT_SIGN = "Is ambiguous. In the user and password, write @ as %40, / as %2F and % as %25."
TLS = (
    "Connections always use TLS and verify the server's certificate. Remove {}, or write"
    " ssl-mode=VERIFY_IDENTITY."
)
CA = (
    "Remove {}. Set DATABASE_CA_FILE to the file of the certificate authority. Client certificates"
    " are not supported."
)
CHARSET = "Connections always use utf8mb4. Remove {}, or write charset=utf8mb4."
UTC = "Times are always in UTC. Remove {}."
LIMITS = "The service has its own pools and time limits. Remove {}."
PARTS = "Remove {}. The form is mysql+pymysql://user:password@host:port/database, over TCP."
UNKNOWN = "Remove {}: this option is not known."

YES = "true 1 yes on"
# Options, the values that ask for what the service does anyway, and a text for other values. Case,
# `-` and `_` are ignored. The names are those of the mysql client, libpq, PyMySQL, mysqlclient,
# JDBC, Go, Node.js, Rails and Prisma.
OPTIONS = [
    ("sslmode", "preferred prefer required require verifyca verifyidentity verifyfull", TLS),
    ("ssl tls usessl requiressl", f'{YES} {{"rejectunauthorized":true}}', TLS),
    ("sslverifycert sslverifyidentity verifyservercertificate", YES, TLS),
    ("sslaccept", "strict", TLS),
    ("ssldisabled", "false 0 no off", TLS),
    ("sslca sslrootcert sslcert sslkey sslidentity", "", CA),
    ("charset characterencoding encoding", "utf8 utf8mb4 utf8mb3 utf8mb4,utf8", CHARSET),
    ("useunicode", YES, CHARSET),
    ("parsetime", YES, UTC),
    ("servertimezone connectiontimezone timezone loc", "utc", UTC),
    ("allowpublickeyretrieval", f"{YES} false 0 no off", UNKNOWN),
    ("connectionlimit poolsize pooltimeout poolrecycle maxoverflow", "", LIMITS),
    ("timeout connecttimeout connectiontimeout sockettimeout readtimeout writetimeout", "", LIMITS),
    ("user username password passwd host port db database socket unixsocket", "", PARTS),
]
KNOWN = {name: (values.split(), text) for names, values, text in OPTIONS for name in names.split()}
NAME = re.compile("[A-Za-z][A-Za-z_-]{0,40}")
PARTED = re.compile("(.*?://(?:.*@)?|)([^/?]*)(.*)", re.DOTALL)
PORT, PORTS = 3306, range(1, 65_536)


def parse(address: str) -> URL:
    """Return the database's address, without options.

    If there are several hosts, each is followed by its port, as in `db-1:3306,db-2:3306`. Then
    connections go to the one that accepts writes.

    :raises ValueError: it is not understood. The message says what to write, and shows no part of
        the address but the name of an option.
    """
    scheme = address.partition("://")[0].lower()
    is_mysql = scheme in {"mysql", "mysql+pymysql"}
    if not is_mysql and re.match("(jdbc:)?mysql", scheme):
        raise ValueError(SCHEME)
    if is_mysql and address.count("@") > 1:
        raise ValueError(AT_SIGN)
    url = _parse_hosts(address) if is_mysql else _parse(address)
    if is_mysql and "@" in (url.database or ""):
        raise ValueError(AT_SIGN)
    if not (is_mysql or scheme == "sqlite") or url.database in {None, "", ":memory:"}:
        raise ValueError(FORM)
    # SQLAlchemy leaves out options without a value. A password can contain `?`.
    options = address.rpartition("@")[2].partition("?")[2]
    if options and not is_mysql:
        raise ValueError("Remove the ? and what follows it.")
    for name, value in parse_qsl(options, keep_blank_values=True):
        values, text = KNOWN.get(_plain(name), ([], UNKNOWN))
        if _plain(value) not in values:
            raise ValueError(text.format(name if NAME.fullmatch(name) else "what follows the ?"))
    return url.set(drivername="mysql+pymysql" if is_mysql else "sqlite", query={})


def _parse_hosts(address: str) -> URL:
    start, hosts, rest = re.findall(PARTED, address)[0]
    urls = [_parse(f"{start}{host}{rest}") for host in hosts.split(",")]
    if not all(map(_has_host, urls)):
        raise ValueError(FORM)
    if len(urls) == 1:
        return urls[0]
    return urls[0].set(host=",".join(f"{url.host}:{url.port or PORT}" for url in urls))


def _parse(address: str) -> URL:
    try:
        return make_url(address)
    except (ArgumentError, ValueError):
        raise ValueError(FORM) from None


def _has_host(url: URL) -> bool:
    host = url.host or ""
    try:
        host.encode("idna")  # as Python does to find its address
    except UnicodeError:
        return False
    return re.fullmatch(r"\S+", host) is not None and (url.port is None or url.port in PORTS)


def _plain(text: str) -> str:
    return re.sub("[_-]", "", text).lower()
