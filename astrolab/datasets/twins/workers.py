"""Independent pieces of work on the cores of a CPU: one piece a core, each on a single thread.

Rendering is many short tensor operations. Sharing each of them between threads means waiting for the slowest thread
thousands of times a second, which costs more than it gains, and ten times more on a machine that is busy with anything
else. It would also make the last bit of a result depend on the number of cores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_on_cores(function: Callable[[Item], Result], *, items: Sequence[Item], device: torch.device) -> list[Result]:
    """Apply a function to independent items, on every core of a CPU at once, or one after the other on a GPU."""
    n_threads = torch.get_num_threads()
    if device.type != "cpu" or n_threads == 1:
        return [function(item) for item in items]
    try:
        with ThreadPoolExecutor(n_threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(function, items))
    finally:
        torch.set_num_threads(n_threads)  # what threads started later take for theirs


@contextmanager
def on_one_thread() -> Iterator[None]:
    """Do work on a single galaxy without sharing it: handing it out and waiting takes longer than the work."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)
