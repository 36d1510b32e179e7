"""The forks in which tests run Python code."""

from concurrent.futures import ThreadPoolExecutor

from tests.support.forked import python


def test_threads_get_their_own_answers() -> None:
    """Threads can run code at the same time."""
    code = "import sys; print(sys.argv[1] * 10_000)"
    with ThreadPoolExecutor(8) as pool:
        printed = pool.map(lambda number: python(code, str(number)), range(8))
    assert list(printed) == [str(number) * 10_000 + "\n" for number in range(8)]
