"""What users write down, checked by pydantic: frozen, no unknown names, every problem named at once in plain words."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from astrolab.errors import AstrolabError, ConfigError


class Settings(BaseModel):
    """Settings of one kind; a section of a file, or an object of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)
    asked: ClassVar[str] = ""  # the first line of the error, where settings stand alone
    refusal: ClassVar[type[AstrolabError]] = ConfigError

    def __init__(self, **values: Any):
        try:
            super().__init__(**values)
        except ValidationError as error:
            if not self.asked:
                raise  # part of settings that name all problems together
            raise refused(error, asked=self.asked, kind=self.refusal) from error

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown(cls, values: Any) -> Any:
        if isinstance(values, dict):
            known = [field.alias or name for name, field in cls.model_fields.items()]
            for name in values:
                if name not in known and name not in cls.model_fields:
                    near = get_close_matches(str(name), known, n=1)
                    hint = f"did you mean {near[0]!r}? " if near else ""
                    raise ValueError(f"unknown name {name!r}; {hint}the names here are {', '.join(known)}")
        return values


def problems_of(error: ValidationError) -> list[str]:
    """Give what pydantic found wrong, one line each: where, what, and the value received."""
    problems = []
    for one in error.errors():
        where = ".".join(str(part) for part in one["loc"] if not str(part).startswith(("literal[", "function-")))
        message = one["msg"].removeprefix("Value error, ")
        message = message[0].lower() + message[1:]
        is_short = one["type"] != "missing" and not isinstance(one["input"], dict)
        received = f" (received {one['input']!r})" if is_short else ""
        problems.append(f"{where}: {message}{received}" if where else message)
    return list(dict.fromkeys(problems))


def refused(error: ValidationError, *, asked: str, kind: type[AstrolabError], remedy: str = "") -> AstrolabError:
    """Build the error in four parts for what pydantic found wrong."""
    numbers_as_text = any(
        e["type"] in ("float_parsing", "int_parsing", "float_type", "int_type") for e in error.errors()
    )
    in_yaml = " YAML reads 1e-4 as text: write 1.0e-4." if numbers_as_text else ""
    return kind(asked, received="; ".join(problems_of(error)), remedy=(remedy or "Correct these settings.") + in_yaml)
