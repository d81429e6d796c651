"""The claims: what papers say, where they say it, and what would have to be true of our models for it to hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from astrolab.errors import ConfigError

Kind = Literal["ratio", "plateau", "time"]
Protocol = Literal["fair", "published"]

# Which arm a claim means by transfer learning. The paper describes one that freezes; its code froze nothing.
PROTOCOLS: Mapping[Protocol, Mapping[str, str]] = MappingProxyType(
    {"fair": MappingProxyType({"TL": "tl"}), "published": MappingProxyType({"TL": "tl_published"})}
)


@dataclass(frozen=True)
class Claim:
    """A sentence, and the comparison that decides about it.

    Models are named by arm: ``"lora"``; ``"lora@0.1"`` learned from a tenth of the fine-tuning set; ``"lora-reverse"``
    was moved the other way; ``"TL"`` is what the protocol takes for transfer learning.
    """

    id: str
    sentence: str
    source: str
    survey: str = "combo"
    metric: str = "scatter"
    worse: str = ""
    better: str = ""
    times: float = 1.0
    kind: Kind = "ratio"
    between: tuple[float, float] = (0.0, 0.0)
    is_quoted: bool = False

    def __post_init__(self):
        complete = self.between[0] < self.between[1] if self.kind == "plateau" else self.worse and self.times > 0
        if not (complete and self.better):
            raise ConfigError(
                f"Claim {self.id!r} must say what is compared.",
                received=f"worse={self.worse!r}, better={self.better!r}, times={self.times}, between={self.between}",
                available="two models and a number of times; for a plateau one model and two ascending fractions",
                remedy="Fill in what is missing.",
            )

    def models(self, protocol: Protocol) -> tuple[str, ...]:
        """Return the models that it compares, under a protocol: `worse` first, where there are two."""
        meant = PROTOCOLS[protocol]
        return tuple(meant.get(name, name) for name in (self.worse, self.better) if name)


_PAPER = "Seenivasan et al. 2025, arXiv:2601.00146"
_HEADLINE = "The LoRA model performs better than a traditional transfer learning method, with ~2.5× less bias and "
_HEADLINE += "~2.2× less scatter."
_RETRAINING = "Retraining the model on a combined dataset yields a model that generalizes better than LoRA but at a "
_RETRAINING += "cost of greater computation time."
_CLAIMS = (
    Claim(
        id="lora_bias_2.5",
        sentence=_HEADLINE,
        source=f"{_PAPER}, abstract; on Combo, Table 2",
        metric="bias",
        worse="TL",
        better="lora",
        times=2.5,
        is_quoted=True,
    ),
    Claim(
        id="lora_scatter_2.2",
        sentence=_HEADLINE,
        source=f"{_PAPER}, abstract; on Combo, Table 2",
        worse="TL",
        better="lora",
        times=2.2,
        is_quoted=True,
    ),
    Claim(
        id="lora_improves_new_survey",
        sentence="Fine-tuning with LoRA improves on the base model on the new survey.",
        source=f"{_PAPER}, Table 2 (scatter on GalaxiesML)",
        survey="galaxiesml",
        worse="zero_shot",
        better="lora",
    ),
    Claim(
        id="lora_forgets",
        sentence="LoRA forgets the base data: it is worse on them than the base model.",
        source=f"{_PAPER}, Table 2 (scatter on TransferZ-Images)",
        survey="transferz",
        worse="lora",
        better="zero_shot",
    ),
    Claim(
        id="combo_generalises",
        sentence=_RETRAINING,
        source=f"{_PAPER}, abstract; scatter on Combo, Table 2",
        worse="lora",
        better="combo",
        is_quoted=True,
    ),
    Claim(
        id="combo_costs_time",
        sentence=_RETRAINING,
        source=f"{_PAPER}, abstract; 1.5 times for the same number of epochs, text",
        metric="time_s",
        worse="combo",
        better="lora",
        times=1.5,
        kind="time",
        is_quoted=True,
    ),
    Claim(
        id="lora_bias_combo_1.1",
        sentence="On Combo, LoRA has 1.1 times the bias of the model trained on both sets.",
        source=f"{_PAPER}, Table 2 and its discussion",
        metric="bias",
        worse="lora",
        better="combo",
        times=1.1,
    ),
    Claim(
        id="lora_scatter_combo_1.2",
        sentence="On Combo, LoRA has 1.2 times the scatter of the model trained on both sets.",
        source=f"{_PAPER}, Table 2 and its discussion",
        worse="lora",
        better="combo",
        times=1.2,
    ),
    Claim(
        id="combo_bias_galaxiesml_3",
        sentence="On GalaxiesML, the model trained on both sets has 3 times the bias of LoRA.",
        source=f"{_PAPER}, Table 2 and its discussion",
        survey="galaxiesml",
        metric="bias",
        worse="combo",
        better="lora",
        times=3,
    ),
    Claim(
        id="lora_scatter_galaxiesml_1.2",
        sentence="On GalaxiesML, LoRA has 1.2 times the scatter of the model trained on both sets.",
        source=f"{_PAPER}, Table 2 and its discussion",
        survey="galaxiesml",
        worse="lora",
        better="combo",
        times=1.2,
    ),
    Claim(
        id="lora_bias_transferz_20",
        sentence="On TransferZ-Images, LoRA has 20 times the bias of the model trained on both sets.",
        source=f"{_PAPER}, Table 2 and its discussion",
        survey="transferz",
        metric="bias",
        worse="lora",
        better="combo",
        times=20,
    ),
    Claim(
        id="lora_scatter_transferz_1.5",
        sentence="On TransferZ-Images, LoRA has 1.5 times the scatter of the model trained on both sets.",
        source=f"{_PAPER}, Table 2 and its discussion",
        survey="transferz",
        worse="lora",
        better="combo",
        times=1.5,
    ),
    Claim(
        id="reverse_bias_4.7",
        sentence="On Combo, LoRA moved the other way (CNN-LoRA-Rev) has 4.7 times the bias of LoRA.",
        source=f"{_PAPER}, Table 3 and its discussion",
        metric="bias",
        worse="lora-reverse",
        better="lora",
        times=4.7,
    ),
    Claim(
        id="reverse_scatter_1.7",
        sentence="On Combo, LoRA moved the other way (CNN-LoRA-Rev) has 1.7 times the scatter of LoRA.",
        source=f"{_PAPER}, Table 3 and its discussion",
        worse="lora-reverse",
        better="lora",
        times=1.7,
    ),
    Claim(
        id="tenth_improves",
        sentence="As little as 10 % of the fine-tuning data improves the scatter on the new survey.",
        source=f"{_PAPER}, Fig. 4 (GalaxiesML) and its discussion",
        survey="galaxiesml",
        worse="zero_shot",
        better="lora@0.1",
    ),
    Claim(
        id="plateau_40_50",
        sentence="The gain of LoRA from more fine-tuning data plateaus at 40–50 % of them.",
        source=f"{_PAPER}, Fig. 4 (GalaxiesML) and its discussion",
        survey="galaxiesml",
        better="lora",
        kind="plateau",
        between=(0.4, 0.5),
    ),
)
CLAIMS: Mapping[str, Claim] = MappingProxyType({claim.id: claim for claim in _CLAIMS})
