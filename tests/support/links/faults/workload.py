"""Clients that use the service all the time, and record each request with its outcome."""

import http.client
import json
import select
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any, Self

from tests.support.links.faults.history import Answer, Operation
from tests.support.waiting import wait_until

CLIENTS = 24  # every second one opens a connection for each request
PACE = 2.5  # requests per second of each client, if the service answers quickly
SLOW_PACE = 1  # the same for clients with slow work
PATIENCE = 10  # seconds, far more than promised, to measure how late an answer is
LONG_PATIENCE = 40  # the same for slow work
POPULAR = 8  # links that all clients follow
OWN = 20  # links that a client keeps, to change them
BATCH = 10  # links
SURE = 0.7  # the probability that a client repeats a create without an answer


class Client(threading.Thread):
    """One client, and the only writer of its links."""

    def __init__(self, load: "Workload", number: int, work: Callable[["Client"], None]) -> None:
        super().__init__(name=f"client-{number}")
        self.load = load
        self.number = number
        self.work = work
        self.chance = Random(f"{load.seed}-{number}")  # noqa: S311 no secret
        self.connection: http.client.HTTPConnection | None = None
        self.links: dict[str, tuple[str, str]] = {}
        """The client's links by name: their code, and their ETag, or "" if it is unknown."""
        self.unsure: list[dict[str, str]] = []
        """Bodies of creates that may or may not have taken effect."""
        self.made = 0
        self.felt = 0.0
        """When the last finished request began."""

    def run(self) -> None:
        """Work until the workload stops."""
        pace = SLOW_PACE if self.work is slow_work else self.load.pace
        while not self.load.stopping.wait(self.chance.expovariate(pace)):
            self.work(self)
        self.close()

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self.connection:
            self.connection.close()
        self.connection = None

    def send(
        self, operation: Operation, method: str, path: str, body: Any = None, **headers: str
    ) -> tuple[http.client.HTTPResponse, bytes] | None:
        """Send a request and record it. Return the answer and its body, or None without one."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        headers |= {"Authorization": f"Bearer {self.load.token}"}
        if body is not None:
            headers |= {"Content-Type": "application/json"}
        operation.client = self.number
        operation.began, began = time.time(), time.perf_counter()
        try:
            answer, content = self._exchange(method, path, json.dumps(body), headers)
        except (OSError, http.client.HTTPException) as error:
            operation.note = repr(error)
            self.close()
            return None
        else:
            operation.status = answer.status
            operation.retry_after = "Retry-After" in answer.headers
            return answer, content
        finally:
            operation.took = time.perf_counter() - began
            self.load.history.append(operation)
            self.felt = operation.began

    def _exchange(
        self, method: str, path: str, body: str, headers: dict[str, str]
    ) -> tuple[http.client.HTTPResponse, bytes]:
        if self.connection and _is_closed(self.connection):
            self.close()
        if self.connection is None:
            patience = LONG_PATIENCE if self.work is slow_work else PATIENCE
            self.connection = http.client.HTTPConnection(self.load.address, timeout=patience)
        if self.number % 2:
            headers |= {"Connection": "close"}
        sent = body if method in {"POST", "PATCH"} else None
        self.connection.request(method, path, sent, headers)
        answer = self.connection.getresponse()
        content = answer.read()
        if answer.will_close:
            self.close()
        return answer, content

    def create(self, **body: str) -> str | None:
        """Create a link, or repeat a create. Return its code, or None if it failed."""
        name = body["url"].rpartition("/")[2]
        operation = Operation("create", name, title=body["title"])
        came = self.send(operation, "POST", "/api/links", body, Idempotency_Key=body["url"])
        if came and operation.status == 201:
            answer, content = came
            etag, location = answer.headers["ETag"], answer.headers["Location"]
            operation.answer = Answer(201, etag, location, content)
            self.links[name] = (json.loads(content)["code"], etag)
            return self.links[name][0]
        if operation.status in {None, 409, 503}:
            self.unsure.append(body)
        return None

    def new_body(self) -> dict[str, str]:
        """Return the fields of a new link, with a unique URL."""
        self.made += 1
        name = f"{self.number}-{self.made}"
        return {"url": f"{self.load.base}{name}", "title": f"new {name}"}

    def click(self, name: str, code: str) -> None:
        """Follow a link."""
        operation = Operation("click", name)
        came = self.send(operation, "GET", f"/{code}")
        if came and came[0].headers["Location"] not in {None, f"{self.load.base}{name}"}:
            operation.note, operation.status = f"led to {came[0].headers['Location']}", 0

    def read(self, name: str) -> None:
        """Read a link of this client, after which its revision is known."""
        operation = Operation("read", name)
        code, _ = self.links[name]
        came = self.send(operation, "GET", f"/api/links/{code}")
        if came and operation.status == 200:
            etag = came[0].headers["ETag"]
            operation.revision, operation.title = _revision(etag), json.loads(came[1])["title"]
            self.links[name] = (code, etag)
        elif operation.status == 404:
            del self.links[name]

    def edit(self, name: str) -> None:
        """Change the title of a link of this client."""
        code, etag = self.links[name]
        title = f"edit {uuid.UUID(int=self.chance.getrandbits(128))}"
        operation = Operation("edit", name, title=title, revision=_revision(etag))
        path = f"/api/links/{code}"
        came = self.send(operation, "PATCH", path, {"title": title}, If_Match=etag)
        done = came and operation.status == 200
        self.links[name] = (code, came[0].headers["ETag"] if came and done else "")

    def delete(self, name: str) -> None:
        """Delete a link of this client."""
        code, etag = self.links[name]
        operation = Operation("delete", name, revision=_revision(etag))
        self.send(operation, "DELETE", f"/api/links/{code}", If_Match=etag)
        if operation.status == 204:
            del self.links[name]
        else:
            self.links[name] = (code, "")


def _revision(etag: str) -> int:
    """Return the revision in an ETag, which is "id-revision"."""
    return int(etag.strip('"').partition("-")[2])


def _is_closed(connection: http.client.HTTPConnection) -> bool:
    """Return whether the server has closed a kept-alive connection, which a client must check."""
    return connection.sock is not None and bool(select.select([connection.sock], [], [], 0)[0])


def work(client: Client) -> None:
    """Send one request, which must be answered within two seconds."""
    chance = client.chance
    if client.unsure and chance.random() < SURE:
        client.create(**client.unsure.pop())
        return
    client.unsure.clear()
    kind = chance.choices(["click", "list", "create", "edit", "delete"], [50, 6, 17, 22, 5])[0]
    if kind == "click":
        client.click(*chance.choice(client.load.popular))
    elif kind == "list":
        client.send(Operation("list"), "GET", "/api/links?limit=20")
    elif kind == "create" or not client.links:
        client.create(**client.new_body())
        if len(client.links) > OWN:
            del client.links[next(iter(client.links))]  # never change the oldest one again
    else:
        name = chance.choice(list(client.links))
        _, etag = client.links[name]
        if not etag or chance.random() < 0.3:
            client.read(name)
        else:
            client.edit(name) if kind == "edit" else client.delete(name)


def slow_work(client: Client) -> None:
    """Send one request, which must be answered within thirty seconds."""
    kind = client.chance.choice(["batch", "export", "search", "series"])
    name, code = client.chance.choice(client.load.popular)
    if kind == "batch":
        client.made += 1
        batch = f"{client.number}-{client.made}"
        url = f"{client.load.base}{batch}/"
        body = {"links": [{"url": f"{url}{n}", "title": batch} for n in range(BATCH)]}
        operation = Operation("batch", batch, title=batch, size=BATCH)
        client.send(operation, "POST", "/api/links/batch", body, Idempotency_Key=url)
    elif kind == "export":
        client.send(Operation("export"), "GET", "/api/export")
    elif kind == "search":
        client.send(Operation("search"), "GET", f"/api/links?q={client.load.run}+{name}")
    else:
        client.send(Operation("series"), "GET", f"/api/links/{code}/clicks")


def probe(path: str) -> Callable[[Client], None]:
    """Return the work of an orchestrator that probes a path."""
    return lambda client: client.send(Operation(path), "GET", f"/{path}") and None


class Workload:
    """All clients. They work inside a `with` block."""

    def __init__(self, url: str, token: str, seed: object, pace: float = PACE) -> None:
        self.pace = pace
        self.address = url.removeprefix("http://")
        self.token = token
        self.seed = seed
        self.run = f"run{uuid.uuid4().hex}"
        self.base = f"https://example.com/{self.run}/"
        self.history: list[Operation] = []
        self.popular: list[tuple[str, str]] = []
        """Names and codes of the links that all clients follow."""
        self.stopping = threading.Event()
        # `wait_felt` waits for these clients and the last probe. The others are too slow for that.
        self.fast = [Client(self, number, work) for number in range(CLIENTS)]
        probes = map(probe, ("livez", "readyz", "readyz/database"))
        others = [*[slow_work] * 2, *probes]
        self.clients = [*self.fast, *(Client(self, CLIENTS + n, w) for n, w in enumerate(others))]

    def __enter__(self) -> Self:
        maker = Client(self, -1, work)
        for _ in range(POPULAR):
            body = maker.new_body()
            code = maker.create(**body)
            assert code, self.history[-1]
            self.popular.append((body["url"].rpartition("/")[2], code))
        maker.close()
        for client in self.clients:
            client.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        for client in self.clients:
            with suppress(RuntimeError):  # it was never started
                client.join()

    def wait_felt(self, moment: float) -> None:
        """Wait until the fast clients and the last probe have finished a request that began later.

        :param moment: seconds since the epoch.
        """
        wait_until(lambda: all(client.felt > moment for client in (*self.fast, self.clients[-1])))

    def repeat_creates(self) -> None:
        """Repeat all creates with their Idempotency-Keys, as a client can do at any time."""
        bodies = {o.name: o for o in self.history if o.kind == "create"}
        queue = list(bodies.values())

        def run(client: Client) -> None:
            with suppress(IndexError):
                while True:
                    done = queue.pop()
                    client.create(url=f"{self.base}{done.name}", title=done.title)

        helpers = [Client(self, -2 - n, work) for n in range(4)]
        threads = [threading.Thread(target=run, args=(helper,)) for helper in helpers]
        for thread in threads:
            thread.start()
        for thread, helper in zip(threads, helpers, strict=True):
            thread.join()
            helper.close()
