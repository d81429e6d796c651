"""The ways of moving a trained network to another survey, with their settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

from astrolab.errors import ConfigError, unknown_name

ADAPTERS: Mapping[str, str] = MappingProxyType(
    {
        "lora": "low-rank product (arXiv:2106.09685)",
        "rslora": "low-rank product scaled by the square root of the rank (arXiv:2312.03732)",
        "dora": "low-rank change of direction and a free magnitude (arXiv:2402.09353)",
        "loha": "Hadamard product of two low-rank products (arXiv:2108.06098)",
        "lokr": "Kronecker product of small factors (arXiv:2212.10650)",
    }
)


@dataclass(frozen=True)
class StrategyKind:
    """What a strategy does, before its settings."""

    words: str
    trains: tuple[str, ...] = ()
    batchnorm: str = "update"
    always_frozen: bool = False


STRATEGIES: Mapping[str, StrategyKind] = MappingProxyType(
    {
        "zero_shot": StrategyKind("the network as it is", batchnorm="freeze", always_frozen=True),
        "scratch": StrategyKind("the same network from new initial weights", trains=("all",)),
        "head": StrategyKind("the regressor trains", trains=("regressor",), batchnorm="freeze"),
        "layers": StrategyKind("chosen layers train"),
        "lora": StrategyKind("small adapters train beside frozen weights"),
        "residual": StrategyKind("a learned correction to a frozen network", batchnorm="freeze", always_frozen=True),
        "full": StrategyKind("every parameter trains", trains=("all",)),
    }
)


@dataclass(frozen=True)
class Strategy:
    """A strategy with all its settings; those it does not use are carried along unread."""

    name: str
    layers: tuple[str, ...] = ("input", "regressor")
    adapter: str = "lora"
    rank: int = 4
    alpha: float = 16
    dropout: float = 0.1
    targets: tuple[str, ...] | None = None
    kronecker_factor: int | None = None
    correction_width: int = 64
    batchnorm: str | None = None
    seed: int = 0

    def __post_init__(self):
        if self.name not in STRATEGIES:
            raise unknown_name("strategy", name=self.name, names=STRATEGIES)
        if self.adapter not in ADAPTERS:
            raise unknown_name("adapter", name=self.adapter, names=ADAPTERS)
        for field in ("layers", "targets"):
            object.__setattr__(self, field, self._tuple_of_names(field))
        if self.batchnorm is None:
            object.__setattr__(self, "batchnorm", self.kind.batchnorm)
        for field, holds, valid in self._checks():
            if not holds:
                raise self._refusal(field, valid)

    @property
    def kind(self) -> StrategyKind:
        """What the strategy does."""
        return STRATEGIES[self.name]

    @property
    def trained_layers(self) -> tuple[str, ...]:
        """Layer sets or modules of the network whose own parameters train."""
        return self.layers if self.name == "layers" else self.kind.trains

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON values."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    def _tuple_of_names(self, field: str) -> tuple[str, ...] | None:
        names = getattr(self, field)
        if names is None and field == "targets":
            return None
        if isinstance(names, str) or not names:
            raise self._refusal(field, 'a sequence of names, e.g. ("input", "regressor")')
        return tuple(names)

    def _checks(self) -> list[tuple[str, bool, str]]:
        stays = self.kind.always_frozen
        return [
            ("rank", _is_count(self.rank), "a whole number of at least 1"),
            ("alpha", self.alpha > 0, "a number above 0"),
            ("dropout", 0 <= self.dropout < 1, "0 <= dropout < 1"),
            ("kronecker_factor", self.kronecker_factor is None or _is_count(self.kronecker_factor), "None, or from 1"),
            ("correction_width", _is_count(self.correction_width), "a whole number of at least 1"),
            ("batchnorm", self.batchnorm in ("update", "freeze"), '"update" or "freeze"'),
            (
                "batchnorm",
                not (stays and self.batchnorm == "update"),
                f'"freeze": {self.name} leaves the network as it is',
            ),
        ]

    def _refusal(self, field: str, valid: str) -> ConfigError:
        return ConfigError(
            f"The strategy {self.name!r} was asked for.",
            received=f"{field} = {getattr(self, field)!r}",
            available=valid,
            remedy=f"Change {field}.",
        )


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
