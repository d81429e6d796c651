"""Table 2 of arXiv:2601.00146 at its published size, on twin surveys: one command, resumable.

    python benchmarks/paper_scale.py --compile                          # 100,442 + 286,401 galaxies; needs a GPU
    python benchmarks/paper_scale.py --fraction 0.01 --epochs-fraction 0.02   # a look at it on a CPU

The four networks of the table with the published recipe: batches of 512, no input scaling, no augmentation, the
published smoothing of the validation loss, at most 500 epochs and early stopping with a patience of 20, or 121 epochs
without it for CNN-Combo. The paper's four runs took 8.7 hours on one RTX A6000. The twins are simulated on the
device, written in the published format and read back by the reader of the published files. A run that was cut off goes
on where it stopped when the same command is given again.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import pandas as pd
import torch

import astrolab as al

PUBLISHED_N = {"twin-transferz": 100_442, "twin-galaxiesml": 286_401}
PUBLISHED_EPOCHS = {"zero_shot": 500, "tl_published": 500, "lora": 500, "combo": 121}  # at most
PUBLISHED_MINUTES = {"zero_shot": 26.7, "tl_published": 264, "lora": 84, "combo": 144}


def load_move(fraction: float, *, seed: int) -> tuple[al.Move, dict[str, float]]:
    """Simulate both surveys, split them, and take every test galaxy out of the training sets."""
    begun = time.perf_counter()
    numbers = {name: round(n * fraction) for name, n in PUBLISHED_N.items()}
    for name, n in numbers.items():
        al.load_survey(name, n=n, seed=seed)
    simulated_s = time.perf_counter() - begun
    (pretrain, n_pretrain), (finetune, n_finetune) = numbers.items()
    move = al.prepare_move(
        pretrain=pretrain, finetune=finetune, n_pretrain=n_pretrain, n_finetune=n_finetune, seed=seed
    )
    return move, {"simulate": simulated_s, "prepare": time.perf_counter() - begun - simulated_s}


def train_table(
    run: al.Run, *, move: al.Move, epochs_fraction: float, seed: int, config: al.TrainConfig
) -> pd.DataFrame:
    """Train the four networks and predict the three test sets with each."""
    epochs = {arm: max(1, round(n * epochs_fraction)) for arm, n in PUBLISHED_EPOCHS.items()}
    scaling = al.fit_scaling(move.pretrain.train, method="none")
    network = al.make_model("cnn", survey=move.surveys["pretrain"], seed=seed)
    setup = {"seed": seed, "scaling": scaling}
    base_config = config.with_changes(learning_rate=1e-3, epochs=epochs["zero_shot"])
    scratch = {"strategy": "scratch"}
    base = run.fit(network, adapt=scratch, arm="base", sample=move.pretrain, config=base_config, **setup)
    tables = []
    for arm in al.choose_arms(list(PUBLISHED_EPOCHS), learning_rates={"lora": 1e-4}):
        arm_config = config.with_changes(
            learning_rate=arm.learning_rate or 1e-3,
            epochs=epochs[arm.name],
            patience=None if arm.name == "combo" else config.patience,
        )
        moved = {"adapt": arm.adapt, "arm": arm.name, "sample": move.sample(arm.sample), "config": arm_config}
        fitted = run.fit(base.adapted.network, **moved, **setup)
        tables += [run.predict(fitted, survey=test, scaling=scaling) for test in move.tests]
    return al.concat_predictions(tables)


def summarise(run: al.Run, *, scores: pd.DataFrame, seconds: dict[str, float], arguments: argparse.Namespace) -> dict:
    """Collect what was done, how long it took, and the table beside the printed one."""
    costs = run.costs.assign(images_per_s=lambda table: table["n_seen"] / table["time_s"]).round(3).astype(object)
    printed = al.load_published("lora_vs_transfer", direction="forward")
    measured = scores.assign(survey=scores["survey"].str.removeprefix("twin-"))
    beside = measured.merge(printed, on=["arm", "survey", "metric"], suffixes=("", "_printed"))
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads"
    return {
        "device": device,
        "fraction": arguments.fraction,
        "epochs_fraction": arguments.epochs_fraction,
        "seconds": {**seconds, "fits": float(costs["time_s"].sum())},
        "paper_minutes_rtx_a6000": PUBLISHED_MINUTES,
        "fits": costs.where(costs.notna(), None).to_dict("records"),
        "table": beside[["arm", "survey", "metric", "value", "low", "high", "n", "value_printed"]].to_dict("records"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fraction", type=float, default=1.0, help="of the published numbers of galaxies")
    parser.add_argument("--epochs-fraction", type=float, default=1.0, help="of the published numbers of epochs")
    parser.add_argument("--batch-size", type=int, default=512)
    parser.add_argument("--compile", action="store_true", help="compile the networks; pays at full size")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--directory", type=Path, default=Path("runs/paper_scale"), help="the run folder")
    parser.add_argument("--json", type=Path, help="write the summary there")
    arguments = parser.parse_args()
    begun = time.perf_counter()
    parameters = {name: str(value) for name, value in vars(arguments).items() if name not in ("json", "directory")}
    run = al.open_run(study="paper_scale", parameters=parameters, directory=arguments.directory)
    move, seconds = load_move(arguments.fraction, seed=arguments.seed)
    run.record_move(move)
    config = al.TrainConfig(
        batch_size=arguments.batch_size, ema="published", label_clamp=(0, 4), compile=arguments.compile
    )
    predictions = train_table(
        run, move=move, epochs_fraction=arguments.epochs_fraction, seed=arguments.seed, config=config
    )
    run.save_predictions([predictions])
    scores = al.score(predictions)
    summary = summarise(run, scores=scores, seconds=seconds, arguments=arguments)
    summary["seconds"]["this_call"] = time.perf_counter() - begun
    run.finish(scores=scores)
    text = json.dumps(summary, indent=1, allow_nan=False)
    if arguments.json:
        arguments.json.write_text(text + "\n", encoding="utf-8")
    print(al.format_scores(scores))
    print(json.dumps({"device": summary["device"], **summary["seconds"]}, indent=1))


if __name__ == "__main__":
    main()
