"""One way to name a statistic, for whatever computes, resamples, linearises or decomposes it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

from numpy.typing import ArrayLike

from tne_eval.errors import DesignError, UnknownNameError
from tne_eval.indicators.inequality import atkinson, finite_number, generalized_entropy, gini
from tne_eval.indicators.moments import mean, variance
from tne_eval.indicators.quantiles import polarization, quantile, quantile_ratio, quantile_share, share_ratio

_FUNCTIONS: dict[str, Callable[..., float]] = {
    function.__name__: function
    for function in (
        mean,
        variance,
        gini,
        generalized_entropy,
        atkinson,
        quantile,
        quantile_ratio,
        share_ratio,
        quantile_share,
        polarization,
    )
}
_ALIASES: dict[str, tuple[str, tuple[float, ...]]] = {
    "theil_t": ("generalized_entropy", (1.0,)),
    "theil_l": ("generalized_entropy", (0.0,)),
}
_SHORT = {statistic: alias for alias, statistic in _ALIASES.items()}
_TEXT = re.compile(r"\s*(\w+)\s*(?:\(([^()]*)\))?\s*")


@dataclass(frozen=True, slots=True)
class Statistic:
    """A statistic of one weighted variable: the name of a function of the library and its parameters, in order.

    `str` gives the text that `as_statistic` reads back; a call evaluates it.
    """

    name: str
    parameters: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.name not in _FUNCTIONS:
            raise UnknownNameError("statistic", self.name, [*_FUNCTIONS, *_ALIASES])
        wanted = _parameters(self.name)
        if len(self.parameters) != len(wanted):
            raise DesignError(
                f"{self.name} has {len(self.parameters)} parameters", why=f"it takes ({', '.join(wanted)})"
            )
        # Adding 0.0 makes −0.0 the same as 0.0.
        numbers = tuple(finite_number(f"a parameter of {self.name}", parameter) + 0.0 for parameter in self.parameters)
        object.__setattr__(self, "parameters", numbers)

    def __call__(self, value: ArrayLike, weight: ArrayLike | None = None) -> float:
        named = dict(zip(_parameters(self.name), self.parameters, strict=True))
        return _FUNCTIONS[self.name](value, weight=weight, **named)

    def __str__(self) -> str:
        if short := _SHORT.get((self.name, self.parameters)):
            return short
        texts = [repr(parameter).removesuffix(".0") for parameter in self.parameters]
        return f"{self.name}({', '.join(texts)})" if texts else self.name


def as_statistic(statistic: object) -> Statistic:
    """The `Statistic` that is meant.

    Parameters
    ----------
    statistic : a Statistic; a function of the library (`gini`); a `functools.partial` of one with its parameters by
        name (`partial(atkinson, epsilon=0.5)`); or a text: "gini", "theil_t", "theil_l", "generalized_entropy(2)",
        "atkinson(0.5)", "quantile(0.9)", "quantile_ratio(0.9, 0.1)", "share_ratio(0.2, 0.2)", "quantile_share(0.9, 1)",
        "polarization", "mean", "variance". Parameters that have a default may be left out.

    Raises UnknownNameError on another name, DesignError on parameters missing, too many or not numbers.
    """
    if isinstance(statistic, Statistic):
        return statistic
    if isinstance(statistic, str):
        return _from_text(statistic)
    function, positional, named = statistic, (), {}
    if isinstance(statistic, partial):
        function, positional, named = statistic.func, statistic.args, statistic.keywords
    name = getattr(function, "__name__", type(function).__name__)
    if _FUNCTIONS.get(name) is not function:
        raise UnknownNameError("statistic", name, [*_FUNCTIONS, *_ALIASES])
    unknown = sorted(set(named) - set(_parameters(name)))
    if positional or unknown:
        given = ", ".join(unknown) if unknown else "values by position"
        raise DesignError(
            f"{name} was given {given}", why=f"only ({', '.join(_parameters(name))}) may be fixed, by name"
        )
    return Statistic(name, _with_defaults(name, named))


def _from_text(text: str) -> Statistic:
    match = _TEXT.fullmatch(text)
    name, inside = match.groups() if match else (text, None)
    if name in _ALIASES and inside is None:
        return Statistic(*_ALIASES[name])
    if name not in _FUNCTIONS:
        raise UnknownNameError("statistic", text, [*_FUNCTIONS, *_ALIASES])
    if inside is None:
        return Statistic(name, _with_defaults(name, {}))
    return Statistic(name, tuple(inside.split(",")) if inside.strip() else ())


@cache
def _parameters(name: str) -> tuple[str, ...]:
    return tuple(key for key in inspect.signature(_FUNCTIONS[name]).parameters if key not in ("value", "weight"))


def _with_defaults(name: str, named: dict[str, object]) -> tuple[object, ...]:
    signature = inspect.signature(_FUNCTIONS[name]).parameters
    values = {key: named.get(key, signature[key].default) for key in _parameters(name)}
    if missing := [key for key, value in values.items() if value is inspect.Parameter.empty]:
        raise DesignError(f"{name} needs {', '.join(missing)}", remedy=f'write "{name}(0.5)", for instance')
    return tuple(values.values())
