import threading

import torch

from astrolab.datasets.twins.workers import map_on_cores, on_one_thread


def test_pieces_run_on_single_threads_and_the_caller_keeps_its_own():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        seen = map_on_cores(lambda item: (item, torch.get_num_threads()), items=range(6), device=torch.device("cpu"))
        assert seen == [(item, 1) for item in range(6)]
        assert torch.get_num_threads() == 3
        later = []
        thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
        thread.start()
        thread.join()
        assert later == [3]
    finally:
        torch.set_num_threads(before)


def test_results_do_not_depend_on_the_number_of_cores():
    from dataclasses import replace

    from astrolab.datasets.manifests import load_manifest

    from astrolab.datasets.twins import simulate_arrays, twin_knobs

    knobs = replace(twin_knobs(load_manifest("twin-transferz")), image_size=32)
    before, surveys = torch.get_num_threads(), []
    try:
        for n_threads in (1, 3):
            torch.set_num_threads(n_threads)
            surveys.append(simulate_arrays(knobs, n=150, seed=1)[0])
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*surveys)


def test_one_galaxy_is_not_shared_between_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with on_one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
