"""What a training run is: every choice that changes its result, in one frozen object."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from numbers import Integral, Real

from astrolab.errors import ConfigError, unknown_name

LOSS_NAMES = ("lorentzian", "mse")
CHOICES = {
    "loss": LOSS_NAMES,
    "ema": ("corrected", "published"),
    "select": ("best_ema", "best_raw", "last"),
    "augment": ("none", "dihedral"),
    "precision": ("auto", "float32", "bfloat16"),
    "channels_last": ("auto", True, False),
    "compile": (True, False),
    "storage": ("auto", "device", "stream"),
}
CIRCUMSTANTIAL = ("channels_last", "compile", "storage", "device")  # how a result is computed, not which
INTEGERS = {"epochs": 1, "batch_size": 1, "plateau_patience": 0, "patience": 1, "ema_span": 2, "seed": 0}
REALS = {"learning_rate": "above", "weight_decay": "from", "clip_norm": "above", "plateau_factor": "fraction"}


@dataclass(frozen=True)
class TrainConfig:
    """How a network is trained; the defaults are those of the published redshift study.

    Parameters
    ----------
    epochs : int
        Largest number of passes over the training survey.
    batch_size : int
        Galaxies a step, over all processes together.
    learning_rate : float
        Initial learning rate of Adam.
    weight_decay : float
        L2 penalty, added to the gradient of every trained parameter.
    clip_norm : float
        Largest norm of the whole gradient.
    loss : {"lorentzian", "mse"}
        See `astrolab.trainers.losses`.
    label : str
        Column of ``survey.labels`` that is learned.
    label_clamp : (float, float) or None
        Range to which *training* labels are clamped; validation labels never are.
    plateau_factor, plateau_patience : float, int
        The learning rate is multiplied by the factor when the validation loss has not fallen for more than that many
        epochs.
    patience : int or None
        Epochs without a new best smoothed validation loss after which training stops; None never stops early.
    ema : {"corrected", "published"}
        Weight of the newest validation loss in the smoothed one: 2/11, or 9/11 as in the published code.
    ema_span : int
        Epochs that the smoothing looks back on, 10 in these numbers. A run of few epochs ends before it can follow the
        loss: take ``select="best_raw"`` there.
    select : {"best_ema", "best_raw", "last"}
        Which weights come back.
    augment : {"none", "dihedral"}
        Random quarter turns and mirror images of the training images.
    precision : {"auto", "float32", "bfloat16"}
        Arithmetic of the network; ``"auto"`` takes bfloat16 for images on a GPU with units for it, and float32 anywhere
        else. On a CPU bfloat16 is probed first, and refused where a layer's result is not sound.
    channels_last : {"auto", True, False}
        Memory order of images; ``"auto"`` follows hardware and precision.
    compile : bool
        Compile the network into fewer, larger kernels (``torch.compile``), recorded and replayed as CUDA graphs on a
        GPU: the same steps but for rounding and other dropout masks. The first epoch waits for the compiler, for
        minutes: only long runs gain.
    storage : {"auto", "device", "stream"}
        Whether the surveys are held on the device or read batch by batch; the result is the same.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``.
    seed : int
        Of the order of the galaxies, the dropout masks and the augmentation.

    Raises
    ------
    ConfigError
        For a value outside what it can be.

    References
    ----------
    Seenivasan et al. 2025, arXiv:2601.00146, and its code (astrodatalab/seenivasan_2025).

    Examples
    --------
    >>> TrainConfig(learning_rate=1.0e-4).with_changes(epochs=10).epochs
    10
    """

    epochs: int = 500
    batch_size: int = 512
    learning_rate: float = 1.0e-3
    weight_decay: float = 1.0e-4
    clip_norm: float = 1.0
    loss: str = "lorentzian"
    label: str = "z"
    label_clamp: tuple[float, float] | None = (0.0, 4.0)
    plateau_factor: float = 0.1
    plateau_patience: int = 5
    patience: int | None = 20
    ema: str = "corrected"
    ema_span: int = 10
    select: str = "best_ema"
    augment: str = "none"
    precision: str = "auto"
    channels_last: str | bool = "auto"
    compile: bool = False
    storage: str = "auto"
    device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            _require_choice(name, getattr(self, name), choices=choices)
        for name, smallest in INTEGERS.items():
            if not (name == "patience" and self.patience is None):
                object.__setattr__(self, name, _checked_integer(name, getattr(self, name), smallest=smallest))
        for name, rule in REALS.items():
            object.__setattr__(self, name, _checked_real(name, getattr(self, name), rule=rule))
        for name in ("label", "device"):
            if not isinstance(getattr(self, name), str) or not getattr(self, name):
                raise _refused(name, getattr(self, name), available="a name")
        if self.label_clamp is not None:
            object.__setattr__(self, "label_clamp", _checked_range(self.label_clamp))

    def with_changes(self, **changes: object) -> TrainConfig:
        """Give the same configuration with some settings changed, checked again.

        Returns
        -------
        TrainConfig

        Raises
        ------
        UnknownNameError
            For a setting that does not exist.
        """
        names = [field.name for field in fields(self)]
        for name in changes:
            if name not in names:
                raise unknown_name("training setting", name=name, names=names)
        return replace(self, **changes)

    def to_dict(self) -> dict:
        """Give the settings as JSON-able values.

        Returns
        -------
        dict
        """
        return json.loads(json.dumps(asdict(self)))


def _require_choice(name: str, value: object, *, choices: Iterable[object]) -> None:
    if not any(value is choice if isinstance(choice, bool) else value == choice for choice in choices):
        raise _refused(name, value, available=", ".join(map(str, choices)))


def _checked_integer(name: str, value: object, *, smallest: int) -> int:
    if not isinstance(value, Integral) or isinstance(value, bool) or value < smallest:
        raise _refused(name, value, available=f"a whole number from {smallest}")
    return int(value)


def _checked_real(name: str, value: object, *, rule: str) -> float:
    words = {"above": "a number above 0", "from": "a number from 0", "fraction": "a number between 0 and 1"}[rule]
    holds = isinstance(value, Real) and not isinstance(value, bool) and 0 <= value < float("inf")
    if not holds or (rule != "from" and value == 0) or (rule == "fraction" and value >= 1):
        raise _refused(name, value, available=words)
    return float(value)


def _checked_range(value: object) -> tuple[float, float]:
    pair = tuple(value) if isinstance(value, (tuple, list)) else ()
    if len(pair) != 2 or not all(isinstance(end, Real) for end in pair) or not pair[0] < pair[1]:
        raise _refused("label_clamp", value, available="two numbers, the smaller first, or None")
    return float(pair[0]), float(pair[1])


def _refused(name: str, value: object, *, available: str) -> ConfigError:
    in_yaml = " (YAML reads 1e-4 as text: write 1.0e-4)" if isinstance(value, str) and name in REALS else ""
    return ConfigError(
        f"A training run was configured with {name}={value!r}.",
        received=f"{value!r} of type {type(value).__name__}",
        available=available,
        remedy=f"Give {name} one of the values above{in_yaml}.",
    )
