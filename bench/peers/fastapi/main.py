"""Follow, create, read and list links with FastAPI, SQLAlchemy's asyncio extension and asyncmy."""

import base64
import hashlib
import secrets
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, HTTPException, Query, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from models import Answer, Link, LinkClicks, LinkHistory, Token
from pydantic import BaseModel, Field
from sqlalchemy import make_url, select
from sqlalchemy.dialects.mysql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import joinedload
from sqlalchemy.orm.interfaces import ORMOption

SECRETS = Path("/run/secrets")
ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"

url = make_url((SECRETS / "database_url").read_text().strip()).set(drivername="mysql+asyncmy")
tls = ssl.create_default_context(cafile=SECRETS / "ca.pem")
engine = create_async_engine(url, connect_args={"ssl": tls}, pool_pre_ping=True)
new_session = async_sessionmaker(engine, expire_on_commit=False)
app = FastAPI()


class NewLink(BaseModel, extra="forbid"):
    """The request to create a link."""

    url: Annotated[str, Field(max_length=3000, pattern=r"^https?://[^\s/]+[^\s]*$")]
    title: Annotated[str, Field(max_length=200)] = ""


class Owner(BaseModel):
    """Who created a link."""

    key: str
    name: str


class Shown(BaseModel):
    """A link as responses show it."""

    code: str
    short_url: str
    url: str
    title: str
    tags: list[str]
    expires_at: datetime | None
    created_at: datetime
    updated_at: datetime
    clicks: int
    owner: Owner | None

    @classmethod
    def of(cls, link: Link, request: Request) -> "Shown":
        """Return a link as responses show it."""
        fields: dict[str, Any] = {name: getattr(link, name, None) for name in cls.model_fields}
        for name in ("expires_at", "created_at", "updated_at"):
            fields[name] = fields[name] and fields[name].replace(tzinfo=UTC)
        first = link.first_change
        owner = first and Owner(key=first.actor, name=first.name)
        return cls(**fields | {"short_url": f"{request.base_url}{link.code}", "owner": owner})


class Page(BaseModel):
    """A page of the list, and where the next one begins."""

    links: list[Shown]
    next: str | None


async def session() -> AsyncIterator[AsyncSession]:
    """Yield a database session for one request."""
    async with new_session() as found:
        yield found


Session = Annotated[AsyncSession, Depends(session)]


async def authenticate(
    given: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())],
    session: Session,
    request: Request,
) -> Token:
    """Return the request's token. Answer 401 if it is not valid, and 403 if it cannot write."""
    digest = hashlib.sha256(given.credentials.encode()).digest()
    token = await session.scalar(select(Token).where(Token.digest == digest))
    if token is None or (token.expires_at and token.expires_at <= now()):
        raise HTTPException(401)
    if request.method != "GET" and token.scope != "write":
        raise HTTPException(403)
    return token


Authenticated = Annotated[Token, Depends(authenticate)]


def now() -> datetime:
    """Return the time in UTC without a time zone, as MySQL stores it."""
    return datetime.now(UTC).replace(tzinfo=None)


@app.post("/api/links", status_code=201)
async def create(
    new: NewLink,
    request: Request,
    session: Session,
    token: Authenticated,
    idempotency_key: Annotated[str | None, Header(max_length=255)] = None,
) -> Response:
    """Create a link, only once for each Idempotency-Key."""
    answer, token_id, name = None, token.id, token.name  # a rollback expires the token
    if idempotency_key:
        fingerprint = hashlib.sha256(await request.body()).digest()
        answer = Answer(
            token_id=token_id, key=idempotency_key, fingerprint=fingerprint, created_at=now()
        )
        session.add(answer)
        try:
            await session.flush()
        except IntegrityError:
            await session.rollback()
            return await replay(session, token_id, idempotency_key, fingerprint)
    code = "".join(secrets.choice(ALPHABET) for _ in range(7))
    times = dict.fromkeys(("created_at", "updated_at"), now())
    fields = new.model_dump() | times
    change = LinkHistory(
        at=times["created_at"],
        action="create",
        actor=f"token:{name}",
        name=name,
        new=new.model_dump(),
        owner=f"token:{name}",
        created_at=times["created_at"],
        lookup_key=code,
    )
    link = Link(**fields, code=code, lookup_key=code, tags=[], revision=1, clicks=0)
    link.first_change = change
    session.add(link)
    await session.flush()
    headers = {"Location": f"/api/links/{code}", "ETag": f'"{link.id}-{link.revision}"'}
    response = JSONResponse(Shown.of(link, request).model_dump(mode="json"), 201, headers)
    if answer:
        answer.status, answer.headers, answer.body = 201, headers, bytes(response.body)
    await session.commit()
    return response


async def replay(session: AsyncSession, token_id: int, key: str, fingerprint: bytes) -> Response:
    """Return the first answer to an Idempotency-Key, or 422 if the request is another one."""
    first = await session.get_one(Answer, (token_id, key))
    if first.fingerprint != fingerprint:
        raise HTTPException(422)
    return Response(first.body, first.status or 201, first.headers, "application/json")


@app.get("/api/links")
async def listing(
    request: Request,
    response: Response,
    session: Session,
    _token: Authenticated,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    after: str | None = None,
) -> Page:
    """List links page by page, newest first."""
    query = (
        select(Link)
        .options(joinedload(Link.first_change))
        .order_by(Link.created_at.desc(), Link.id.desc())
        .limit(limit + 1)
    )
    if after:
        time, number = base64.urlsafe_b64decode(after).decode().split()
        created_at = datetime.fromisoformat(time).replace(tzinfo=None)
        older = (Link.created_at < created_at) | (Link.id < int(number))
        query = query.where(Link.created_at <= created_at, older)
    links = (await session.scalars(query)).all()
    following = None
    if len(links) > limit:
        last = links[limit - 1]
        place = f"{last.created_at.replace(tzinfo=UTC).isoformat()} {last.id}"
        following = base64.urlsafe_b64encode(place.encode()).decode()
        page = request.url.include_query_params(limit=limit, after=following)
        response.headers["Link"] = f'<{page.path}?{page.query}>; rel="next"'
    return Page(links=[Shown.of(link, request) for link in links[:limit]], next=following)


@app.get("/api/links/{code}")
async def read(
    code: str, request: Request, response: Response, session: Session, _token: Authenticated
) -> Shown:
    """Read a link and its clicks."""
    link = await find(session, code, joinedload(Link.first_change))
    response.headers["ETag"] = f'"{link.id}-{link.revision}"'
    return Shown.of(link, request)


@app.get("/{code}")
async def follow(code: str, session: Session) -> Response:
    """Count the click and redirect to the link's target."""
    link = await find(session, code)
    if link.expires_at and link.expires_at <= now():
        raise HTTPException(410)
    hour = now().replace(minute=0, second=0, microsecond=0)
    click = insert(LinkClicks).values(link_id=link.id, hour=hour, clicks=1)
    await session.execute(click.on_duplicate_key_update(clicks=LinkClicks.clicks + 1))
    await session.commit()
    return RedirectResponse(link.url, 302)


async def find(session: AsyncSession, code: str, *options: ORMOption) -> Link:
    """Return the link with this code, or answer 404."""
    key = code.lower().replace("-", "")
    link = await session.scalar(select(Link).where(Link.lookup_key == key).options(*options))
    if link is None:
        raise HTTPException(404)
    return link
