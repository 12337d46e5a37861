"""An adapter's settings: the environment, typed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from ..errors import ConfigurationError


class AdapterSettings(BaseSettings):
    """Subclass it with fields named as the environment's variables, in lower case.

    Use `SecretStr` for secrets and `validation_alias=AliasChoices(...)` for other names. The shell
    fills it by `from_environment` and hands it to the adapter's constructor.
    """

    model_config = SettingsConfigDict(extra="ignore", frozen=True, populate_by_name=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read nothing but what is handed over: the shell's settings module is the only reader."""
        return (init_settings,)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Fill the fields from variables of the same name, in upper case, or their aliases.

        A variable that is set to the empty string counts as not set; JSON is parsed for fields
        that are not plain strings or numbers.

        Raises:
            ConfigurationError: Every wrong variable, by its name, without its value.
        """
        source = _Variables(cls)
        source.env_vars = {name.lower(): value for name, value in environment.items() if value}
        try:
            return cls(**source())
        except ValidationError as error:
            raise ConfigurationError(*_problems(cls, error, source.not_json)) from None


class _Variables(EnvSettingsSource):
    """Leaves what is no JSON to the validation, which tells every problem at once."""

    def __init__(self, settings: type[BaseSettings]) -> None:
        super().__init__(settings)
        self.not_json: set[str] = set()

    def prepare_field_value(
        self, field_name: str, field: FieldInfo, value: Any, value_is_complex: bool
    ) -> Any:
        try:
            return super().prepare_field_value(field_name, field, value, value_is_complex)
        except ValueError:
            self.not_json.add(field_name)
            return value


def variables(settings: type[AdapterSettings]) -> dict[str, tuple[str, ...]]:
    """The environment variables of each field, the preferred one first."""
    return _variables(settings)


def _variables(model: type[BaseModel]) -> dict[str, tuple[str, ...]]:
    return {
        name: _aliases(field.validation_alias) or (name.upper(),)
        for name, field in model.model_fields.items()
    }


def _aliases(alias: Any) -> tuple[str, ...]:
    if alias is None:
        return ()
    if isinstance(alias, str):
        return (alias,)
    choices = getattr(alias, "choices", ())
    return tuple(choice for choice in choices if isinstance(choice, str))


def _problems(
    model: type[AdapterSettings], error: ValidationError, not_json: set[str]
) -> list[str]:
    names = {field: names[0] for field, names in _variables(model).items()}
    problems = []
    for detail in error.errors(include_input=False, include_url=False, include_context=False):
        first = str(detail["loc"][0]) if detail["loc"] else ""
        message = "must be valid JSON" if first in not_json else detail["msg"]
        if detail["type"] == "missing":
            message = "is not set, and there is no default"
        problems.append(f"{names.get(first, first) or model.__name__}: {message}")
    return problems
