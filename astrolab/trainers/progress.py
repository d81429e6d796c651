"""What is seen of training while it runs: a bar at a terminal, a line now and then anywhere else."""

from __future__ import annotations

import os
import sys
from time import perf_counter

from tqdm import tqdm

from astrolab.trainers.state import TrainingState

LINE_EVERY_S = 30.0


class Progress:
    """The epochs of one fit on stderr; where that is no terminal, a line every half minute and one at the end."""

    def __init__(self, description: str, *, state: TrainingState, epochs: int, is_shown: bool):
        self._description, self._epochs, self._begun = description, epochs, len(state.history)
        has_terminal = sys.stderr.isatty() or os.environ.get("ASTROLAB_PROGRESS") == "bar"  # `astrolab run` has one
        self._says_lines = is_shown and not has_terminal
        self._bar = tqdm(
            desc=description, total=epochs, initial=self._begun, unit="epoch", disable=self._says_lines or not is_shown
        )
        self._started = self._last_line = perf_counter()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def after_epoch(self, state: TrainingState) -> None:
        """Show the epoch that has ended."""
        last, now = state.history[-1], perf_counter()
        shown = {"train": "train_loss", "validation": "validation_loss", "lr": "learning_rate"}
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
