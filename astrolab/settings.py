"""What users write down, checked by pydantic: frozen, no unknown names, every problem named at once in plain words."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from astrolab.errors import ConfigError


class Settings(BaseModel):
    """Settings of one kind; a section of a file, or an object of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)
    asked: ClassVar[str] = ""  # the first line of the error, where settings stand alone

    def __init__(self, **values: Any):
        try:
            super().__init__(**values)
        except ValidationError as error:
            if not self.asked:
                raise  # part of settings that name all problems together
            numbers = {"float_parsing", "int_parsing", "float_type", "int_type"}
            has_numbers = any(one["type"] in numbers for one in error.errors())
            remedy = "Correct these settings." + " YAML reads 1e-4 as text: write 1.0e-4." * has_numbers
            raise ConfigError(self.asked, received="; ".join(problems_of(error)), remedy=remedy) from error

    def to_dict(self) -> dict[str, Any]:
        """Give the settings as JSON values."""
        return self.model_dump(mode="json")

    @model_validator(mode="wrap")
    @classmethod
    def _name_what_is_unknown(cls, values: Any, handler: ModelWrapValidatorHandler) -> Any:
        """Say of an unknown name which is near, beside everything else that is wrong."""
        try:
            return handler(values)
        except ValidationError as error:
            found = [_with_near_names(one, model=cls) for one in error.errors()]
            raise ValidationError.from_exception_data(error.title, found) from None


def _with_near_names(one: Any, *, model: type[BaseModel]) -> InitErrorDetails:
    where, kind, said = one["loc"], one["type"], one["msg"]
    if kind == "extra_forbidden" and len(where) == 1:
        known = [field.alias or name for name, field in model.model_fields.items()]
        near = get_close_matches(str(where[0]), known, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        where, kind = (), "unknown_name"
        said = f"unknown name {one['loc'][0]!r}; {hint}the names here are {', '.join(known)}"
    if kind == "unknown_name":
        return InitErrorDetails(type=PydanticCustomError(kind, said), loc=where, input={})
    return InitErrorDetails(type=kind, loc=where, input=one["input"], ctx=one.get("ctx", {}))


def problems_of(error: ValidationError) -> list[str]:
    """Give what pydantic found wrong, one line each: where, what, and the value received."""
    problems = []
    for one in error.errors():
        where = ".".join(str(part) for part in one["loc"] if not str(part).startswith(("literal[", "function-")))
        message = one["msg"].removeprefix("Value error, ").replace("a valid tuple", "a list")
        message = message[0].lower() + message[1:]
        is_short = one["type"] != "missing" and not isinstance(one["input"], dict)
        received = f" (received {one['input']!r})" if is_short else ""
        problems.append(f"{where}: {message}{received}" if where else message)
    return list(dict.fromkeys(problems))
