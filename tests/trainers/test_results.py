import torch

from astrolab.trainers.results import HISTORY, peak_memory_bytes, untrained_result


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
