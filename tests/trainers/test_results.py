import os

import pytest
import torch

from astrolab.trainers.results import HISTORY, peak_memory_bytes, reset_peak_memory, untrained_result


def test_nothing_trained_has_an_empty_history(case):
    result = untrained_result(case.adapted("zero_shot"), config=case.config)
    assert tuple(result.history.columns) == HISTORY and result.history.empty
    assert (result.n_epochs, result.n_seen, result.n_trainable, result.time_s) == (0, 0, 0, 0.0)
    assert "nothing to train" in repr(result)


def test_peak_memory_grows_with_what_is_held():
    before = peak_memory_bytes(torch.device("cpu"))
    held = torch.ones(100_000_000)
    assert 2e7 < before <= peak_memory_bytes(torch.device("cpu"))
    assert peak_memory_bytes(torch.device("cpu")) >= held.nbytes


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="the system keeps no peak to reset")
def test_peak_memory_is_that_since_the_last_reset():
    held = torch.ones(100_000_000)
    with_it = peak_memory_bytes(torch.device("cpu"))
    n_bytes = held.nbytes
    del held
    reset_peak_memory(torch.device("cpu"))
    assert peak_memory_bytes(torch.device("cpu")) < with_it - 0.9 * n_bytes
