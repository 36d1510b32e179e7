"""Clients that send requests during a test."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import requests


@contextmanager
def repeated(sends: Sequence[Callable[[], object]]) -> Iterator[None]:
    """Call each function again and again during this block, in a thread of its own.

    After a request that gets no answer, a client waits for a moment.
    """
    ended = threading.Event()

    def ask(send: Callable[[], object]) -> None:
        while not ended.is_set():
            try:
                send()
            except requests.RequestException:
                ended.wait(0.1)

    clients = [threading.Thread(target=ask, args=(send,)) for send in sends]
    for client in clients:
        client.start()
    try:
        yield
    finally:
        ended.set()
        for client in clients:
            client.join()
