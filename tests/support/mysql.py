"""Sessions with a stack's MySQL that stay open, to hold locks that the service must wait for."""

import secrets
import subprocess
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

from tests.support.compose import MYSQL_ROOT, Stack
from tests.support.waiting import wait_until


class RootSession:
    """A session as root. At the end of its `with` block it releases all its locks."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.pool = ThreadPoolExecutor(1)
        self.client = subprocess.Popen(
            stack.inside("db", "bash", "-c", f"{MYSQL_ROOT} --unbuffered --force 2>&1"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        [[self.id]] = self.run("SELECT CONNECTION_ID()")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.client.stdin
        self.client.stdin.close()
        self.client.wait()
        assert self.client.stdout
        self.client.stdout.close()
        self.pool.shutdown()

    def run(self, sql: str) -> list[list[str]]:
        """Run SQL and return the rows.

        :raises RuntimeError: MySQL rejected a statement.
        """
        assert self.client.stdin
        assert self.client.stdout
        end = secrets.token_hex(8)
        print(f"{sql}; SELECT '{end}';", file=self.client.stdin, flush=True)
        rows = iter(self.client.stdout.readline, "")
        found = [row.rstrip("\n").split("\t") for row in iter(lambda: next(rows), f"{end}\n")]
        for row in found:
            if row[0].startswith("ERROR "):
                raise RuntimeError(row[0])
        return found

    def start(self, sql: str) -> Future[list[list[str]]]:
        """Run SQL in the background, and return its future as soon as it waits for a lock."""
        running = self.pool.submit(self.run, sql)
        wait_until(lambda: running.done() or waits(self.stack, f"id = {self.id}"))
        return running


def waits(stack: Stack, which: str) -> bool:
    """Return whether a session waits for a row lock, a table lock, or a named lock (`GET_LOCK`).

    :param which: an SQL condition on the columns of `performance_schema.processlist`.
    """
    return bool(
        stack.mysql_root(
            f"""
            SELECT 1 FROM performance_schema.processlist JOIN performance_schema.threads
                ON processlist_id = id WHERE {which} AND (
                state LIKE 'Waiting for % lock' OR state = 'User lock' OR EXISTS (
                    SELECT 1 FROM performance_schema.data_lock_waits
                    WHERE requesting_thread_id = thread_id))
            """
        )
    )
