"""A load balancer that spreads connections over the replicas that are ready."""

import asyncio
import itertools
import threading
from contextlib import suppress
from typing import Self

from tests.support.waiting import wait_until

ASKED_EVERY = 0.2  # seconds between two readiness checks of a replica
PATIENCE = 1.0  # seconds to wait for an answer or for a connection


class Proxy:
    """A TCP proxy on its own port, which runs inside a `with` block.

    It does not parse HTTP: it balances connections, not requests.
    """

    def __init__(self, ports: list[int]) -> None:
        """Take the ports of 127.0.0.1 on which the replicas listen."""
        self.ready = dict.fromkeys(ports, False)
        self.turn = itertools.count()
        self.url = ""
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self.thread.start()
        wait_until(lambda: self.url and all(self.ready.values()))
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.create_task(self._work())
        self.loop.run_forever()
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self.loop.close()

    async def _work(self) -> None:
        server = await asyncio.start_server(self._serve, "127.0.0.1")
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server:
            await asyncio.gather(*map(self._watch, self.ready))

    async def _watch(self, port: int) -> None:
        while True:
            try:
                async with asyncio.timeout(PATIENCE):
                    self.ready[port] = b" 200 " in await _ask(port)
            except OSError:  # includes TimeoutError
                self.ready[port] = False
            await asyncio.sleep(ASKED_EVERY)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            for port in self._choice():
                try:
                    async with asyncio.timeout(PATIENCE):
                        there = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    continue
                await asyncio.gather(_copy(reader, there[1]), _copy(there[0], writer))
                break
        finally:
            writer.close()

    def _choice(self) -> list[int]:
        """Return the ready ports, rotated by one on each call (round robin)."""
        ports = [port for port, ready in self.ready.items() if ready]
        first = next(self.turn) % len(ports) if ports else 0
        return ports[first:] + ports[:first]


async def _ask(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return await reader.readline()
    finally:
        writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        with suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
    finally:
        writer.close()
