"""What whoever waits at a terminal sees of long work: one bar that stays on its line; elsewhere, plain lines."""

from __future__ import annotations

import os
import shutil
import sys
from time import perf_counter
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

if TYPE_CHECKING:
    from astrolab.trainers.state import TrainingState

COLUMNS = "ASTROLAB_PROGRESS"  # to a kernel: the width of the terminal that shows its stderr, 0 where there is none
LINE_EVERY_S = 300.0


def terminal_width() -> int:
    """Return the columns of the terminal that shows stderr; 0 where that is a file, a pipe or a notebook."""
    if sys.stderr.isatty():
        return shutil.get_terminal_size().columns
    return int(os.environ.get(COLUMNS, 0))


def make_bar(description: str, *, is_shown: bool = True, **options: Any) -> tqdm:
    """Make a bar on stderr, not wider than its terminal; one that shows nothing where there is none."""
    width = terminal_width() if is_shown else 0
    return tqdm(desc=description, ncols=width, disable=not width, **options)


class Progress:
    """The epochs of one fit on stderr: a bar; where there is no terminal a line at the end, and every five minutes."""

    def __init__(self, description: str, *, state: TrainingState, epochs: int, is_shown: bool):
        self._description, self._epochs, self._begun = description, epochs, len(state.history)
        self._says_lines = is_shown and not terminal_width()
        self._bar = make_bar(description, is_shown=is_shown, total=epochs, initial=self._begun, unit="epoch")
        self._started = self._last_line = perf_counter()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def after_epoch(self, state: TrainingState) -> None:
        """Show the epoch that has ended."""
        last, now = state.history[-1], perf_counter()
        shown = {"validation": "validation_loss", "train": "train_loss", "lr": "learning_rate"}  # a narrow bar cuts
        words = {word: f"{last[name]:{'.0e' if word == 'lr' else '.4f'}}" for word, name in shown.items()}
        self._bar.set_postfix(words, refresh=False)
        self._bar.update()
        if self._says_lines and (state.stopped is not None or now - self._last_line > LINE_EVERY_S):
            rate = (now - self._started) / (last["epoch"] - self._begun)
            losses = ", ".join(f"{word} {value}" for word, value in words.items())
            sys.stderr.write(
                f"{self._description}: epoch {last['epoch']} of {self._epochs}, {losses}, {rate:.2g} s/epoch\n"
            )
            self._last_line = now
