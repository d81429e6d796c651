import pytest

from astrolab.errors import TrainingError
from astrolab.models.adapt import adapt
from astrolab.runs.trials import run_trials


@pytest.fixture
def run_rates(case, setup, tmp_path):
    def run(*rates):
        return run_trials(
            adapt(case.mlp, strategy="full"),
            configs=[setup["config"].with_changes(learning_rate=rate) for rate in rates],
            checkpoints=[tmp_path / f"{rate}.safetensors" for rate in rates],
            sample=setup["sample"],
            scaling=setup["scaling"],
            description="test",
        )

    return run


def test_a_trial_that_diverges_has_lost_and_is_logged(run_rates):
    trials = run_rates(1e30, 1e-2)
    assert trials.best.config.learning_rate == 1e-2
    assert trials.log[0]["stopped"].startswith("diverged")
    assert trials.log[0]["validation_loss"] is None
    assert trials.log[1]["validation_loss"] == min(trials.best.history["ema"])


def test_nothing_is_left_to_keep_when_all_diverge(run_rates):
    with pytest.raises(TrainingError):
        run_rates(1e30, 1e31)
