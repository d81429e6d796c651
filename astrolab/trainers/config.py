"""What a training run is: every choice that changes its result, in one frozen object."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import BeforeValidator, Field, StrictBool, model_validator

from astrolab.settings import Settings

CIRCUMSTANTIAL = ("channels_last", "compile", "storage", "device")  # how a result is computed, not which
_plain = BeforeValidator(lambda value: value.item() if isinstance(value, np.generic) else value)
Whole = Annotated[int, _plain, Field(ge=0, strict=True)]
Count = Annotated[int, _plain, Field(ge=1, strict=True)]
Number = Annotated[float, _plain, Field(ge=0, strict=True, allow_inf_nan=False)]
Positive = Annotated[float, _plain, Field(gt=0, strict=True, allow_inf_nan=False)]
Share = Annotated[Number, Field(lt=1)]
Fraction = Annotated[float, _plain, Field(gt=0, lt=1, strict=True)]


class Objective(Settings):
    """What training makes small.

    `loss` None takes that of the task. `ratio` is the part of an input that `masked_reconstruction` hides, in runs of
    `patch` neighbours.
    """

    name: Literal["supervised", "masked_reconstruction"] = "supervised"
    loss: str | None = None
    ratio: Fraction = 0.5
    patch: Count = 1


class Sampler(Settings):
    """Which objects an epoch holds, in which order; see `astrolab.trainers.sampling`.

    `column` is a column of the training survey: the confidence of a curriculum (`staged`), the group of `balanced`.
    `epochs` are those of each stage of a curriculum; `cumulative` keeps the earlier stages.
    """

    name: Literal["uniform", "staged", "balanced", "chunked"] = "uniform"
    column: str | None = None
    epochs: tuple[Count, ...] = ()
    cumulative: bool = True
    chunk: Count = 4096

    @model_validator(mode="after")
    def _complete(self) -> Sampler:
        if self.name in ("staged", "balanced") and self.column is None:
            raise ValueError(f"the sampler {self.name!r} needs the column by which it chooses")
        if self.name == "staged" and not self.epochs:
            raise ValueError("the sampler 'staged' needs the epochs of each of its stages")
        return self


class Schedule(Settings):
    """How the learning rate changes; see `astrolab.trainers.optimising`.

    `factor` and `patience` belong to `plateau`; `warmup_frac` and `floor_frac` (of the steps, of the rate) to `cosine`;
    `cyclic` runs between the floor and the rate in `cycles` triangles.
    """

    name: Literal["plateau", "cosine", "cyclic", "constant"] = "plateau"
    factor: Fraction = 0.1
    patience: Whole = 5
    warmup_frac: Share = 0.0
    floor_frac: Annotated[Number, Field(le=1)] = 0.0
    cycles: Count = 1


class TrainConfig(Settings):
    """How a network is trained; the defaults are those of arXiv:2601.00146 and its code, but for the clamp.

    Parameters
    ----------
    n_steps, epochs : int or None
        Largest numbers of steps and of epochs; training ends with whichever comes first, if not by `patience` before.
    epoch_steps : int or None
        Steps of an epoch, after each of which the validation loss is measured: epochs, and all that is counted in them,
        are then as long for a small training survey as for a large one. By default one pass over the survey.
    min_steps : int
        Steps before which `patience` does not end training.
    batch_size : int
        Objects a step, over all processes together.
    optimiser : {"adam", "adamw", "sgd"}
        `sgd` with Nesterov momentum 0.9.
    betas : (float, float)
        How much of the running means of the gradient and of its square `adam` and `adamw` keep each step.
    learning_rate, stage_rates : float, mapping of str to float
        Initial learning rate, and those of stages of the network that differ from it, e.g. ``{"head": 5e-4}``.
    weight_decay, clip_norm : float
        L2 penalty, added to the gradient of every trained parameter (`adamw`: decoupled from it); largest norm of the
        whole gradient.
    schedule, objective, sampler : Schedule, Objective, Sampler or mapping
        How the learning rate changes, what is made small, the order of the objects: e.g.
        ``{"name": "plateau", "patience": 2}``, ``{"name": "masked_reconstruction", "ratio": 0.75}``,
        ``{"name": "balanced", "column": "member"}``.
    label_clamp : (float, float) or None
        Range to which *training* labels are clamped, [0, 4] in the published study; validation labels never are.
    patience : int or None
        Epochs without a new best smoothed validation loss after which training stops; None never stops early.
    ema : {"corrected", "published"}
        Weight of the newest validation loss in the smoothed one: 2/11, or 9/11 as in the published code.
    ema_span : int
        Epochs that the smoothing looks back on, 10 in these numbers; a run of few epochs needs less.
    select : {"best_ema", "best_raw", "last"}
        Which weights come back.
    keep_path : bool
        Keep the weights of the start and of every epoch, ``FitResult.path``: of small networks whose way is drawn.
    augment : {"none", "dihedral", "auto"}
        Random quarter turns and mirror images of the training images; ``"auto"`` where there are images.
    precision : {"auto", "float32", "bfloat16"}
        ``"auto"`` takes bfloat16 for images on a GPU with units for it, else float32. On a CPU bfloat16 is probed
        first, and refused where a layer's result is not sound.
    channels_last : {"auto", True, False}
        Memory order of images; ``"auto"`` follows hardware and precision.
    compile : bool
        Compile the network (``torch.compile``; CUDA graphs on a GPU): the same steps but for rounding and other dropout
        masks. The first epoch waits minutes for the compiler.
    storage : {"auto", "device", "stream"}
        Whether the surveys are held on the device or read batch by batch; the result is the same.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``.
    seed : int
        Of the order of the objects, the dropout masks and the augmentation.

    Raises
    ------
    ConfigError
        For a setting that does not exist, or a value outside what it can be; all of them are named.

    Examples
    --------
    >>> TrainConfig(learning_rate=1.0e-4).with_changes(epochs=10).epochs
    10
    """

    asked = "A training run was configured."

    epochs: Count | None = 500
    n_steps: Count | None = None
    epoch_steps: Count | None = None
    min_steps: Whole = 0
    batch_size: Count = 512
    optimiser: Literal["adam", "adamw", "sgd"] = "adam"
    betas: tuple[Share, Share] = (0.9, 0.999)
    learning_rate: Positive = 1.0e-3
    stage_rates: dict[str, Positive] = Field(default={})
    weight_decay: Number = 1.0e-4
    clip_norm: Positive = 1.0
    schedule: Schedule = Schedule()
    objective: Objective = Objective()
    sampler: Sampler = Sampler()
    label_clamp: tuple[float, float] | None = None
    patience: Count | None = 20
    ema: Literal["corrected", "published"] = "corrected"
    ema_span: Annotated[Count, Field(ge=2)] = 10
    select: Literal["best_ema", "best_raw", "last"] = "best_ema"
    keep_path: StrictBool = False
    augment: Literal["none", "dihedral", "auto"] = "none"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    channels_last: Literal["auto"] | StrictBool = "auto"
    compile: StrictBool = False
    storage: Literal["auto", "device", "stream"] = "auto"
    device: Annotated[str, Field(min_length=1)] = "auto"
    seed: Whole = 0

    @model_validator(mode="after")
    def _agree(self) -> TrainConfig:
        if self.epochs is None and self.n_steps is None:
            raise ValueError("epochs or n_steps must be a number: training has to end")
        if self.label_clamp is not None and not self.label_clamp[0] < self.label_clamp[1]:
            raise ValueError("label_clamp needs two numbers, the smaller first, or None")
        return self

    def with_changes(self, **changes: object) -> TrainConfig:
        """Give the same configuration with some settings changed, checked again."""
        return TrainConfig(**{**self.to_dict(), **changes})
