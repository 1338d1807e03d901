"""The parameters of a model builder as those of an estimator of scikit-learn's.

An estimator's parameters are what its constructor takes. Here these are the arguments of
`kerastrain.fit`, and beside them whatever the builder takes, so that a search can vary either.
"""

import copy
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Self, TypeVar

import keras
from sklearn.base import BaseEstimator

from kerastrain._checks import invalid, one_of, show
from kerastrain.callbacks import copies
from kerastrain.models import Builder, builder_of, list_models
from kerastrain.search.parameters import as_python
from kerastrain.training import arguments_of_fit, fit
from kerastrain.workflow import build_and_fit

_OF_BUILDING = ("a_layer", "optimizer", "learning_rate", "metrics")
_OF_THE_DATA = ("validation_data", "sample_weight")
_OF_CLASSES = ("class_weight",)

_Init = TypeVar("_Init", bound=Callable[..., None])


class BuilderParameters(BaseEstimator):  # type: ignore[misc]
    """An estimator whose parameters are the arguments of `fit` and those of its builder.

    Only what was given is an attribute of the object: what was left out is the builder's default,
    or the data's to tell. Where the builder has a parameter of the same name, it is the builder's.
    """

    def __init__(self, build_model: str | Builder, **parameters: Any) -> None:
        check_known(type(self), build_model, parameters)
        self.__dict__.update(build_model=build_model, **parameters)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Returns every parameter, of ours and of the builder's, with its value.

        Args:
            deep: Is there for scikit-learn; no parameter is an estimator.
        """
        values = self._defaults() | self.given()
        return {name: values[name] for name in sorted(values)}

    def set_params(self, **params: Any) -> Self:
        """Sets parameters, and returns the estimator.

        Raises:
            ValueError: If there is no such parameter.
        """
        check_known(type(self), params.get("build_model", self.build_model), params)
        self.__dict__.update(params)
        return self

    def given(self) -> dict[str, Any]:
        """Returns the parameters that were given, and not left at their defaults."""
        return {k: v for k, v in self.__dict__.items() if not k.startswith("_") and k[-1:] != "_"}

    def divided(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Returns the builder's parameters, those given, and all of ours, in plain numbers.

        Raises:
            ValueError: If a parameter is nobody's, as after a change of the builder, or hides
                something of the estimator's.
        """
        given, theirs = self.given(), builder_defaults(self.build_model)
        check_known(type(self), self.build_model, given)
        for name in {*theirs, *given} - own_defaults(type(self)).keys():
            if hasattr(type(self), name):
                must = f"have no parameter named {name!r}, which the estimator has a use for"
                raise invalid(type(self).__name__, "build_model", must, show(self.build_model))
        own = own_defaults(type(self)).keys() - theirs.keys()
        params = {name: as_python(value) for name, value in given.items() if name not in own}
        ours = {name: as_python(getattr(self, name)) for name in own - {"build_model"}}
        return params, ours

    def _defaults(self) -> dict[str, Any]:
        return own_defaults(type(self)) | builder_defaults(self.build_model)

    def __getattr__(self, name: str) -> Any:
        """Lets a parameter that was left out be read like one that was given."""
        if "build_model" in self.__dict__ and not name.startswith("_"):
            defaults = self._defaults()
            if name in defaults:
                return defaults[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __sklearn_clone__(self) -> Self:
        """Returns an unfitted copy in which what was left out is left out too.

        scikit-learn's own way would give the copy the builder's defaults, and so keep the data
        from telling, say, `input_shape`.
        """
        clone = type(self).__new__(type(self))
        clone.__dict__.update({name: _copied(name, value) for name, value in self.given().items()})
        for name in ("_metadata_request", "_sklearn_output_config"):
            if name in self.__dict__:
                clone.__dict__[name] = copy.deepcopy(self.__dict__[name])
        if "_skl_callbacks" in self.__dict__:  # scikit-learn's, which it shares between clones.
            clone.__dict__["_skl_callbacks"] = self.__dict__["_skl_callbacks"]
        return clone

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if "callbacks" in state:
            state["callbacks"] = copies(state["callbacks"])
        return state


def taking(build_model: str, *, classes: bool) -> Callable[[_Init], _Init]:
    """Gives a constructor the signature that scikit-learn, and `help`, read the parameters off.

    Args:
        build_model: The default builder.
        classes: Whether the estimator has classes, and so weights of theirs.
    """

    def given_to(init: _Init) -> _Init:
        kinds = inspect.Parameter
        own = {name: default for name, default in _arguments().items() if _belongs(name, classes)}
        parameters = [
            kinds("self", kinds.POSITIONAL_OR_KEYWORD),
            kinds("build_model", kinds.POSITIONAL_OR_KEYWORD, default=build_model),
            *(kinds(name, kinds.KEYWORD_ONLY, default=default) for name, default in own.items()),
            kinds("builder_parameters", kinds.VAR_KEYWORD),
        ]
        init.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return init

    return given_to


def own_defaults(kind: type) -> dict[str, Any]:
    """Returns an estimator's parameters that aren't its builder's, with their defaults."""
    parameters = inspect.signature(kind).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is not p.VAR_KEYWORD}


def builder_defaults(build_model: Any) -> dict[str, Any]:
    """Returns a builder's parameters with their defaults; `None` where it has no default.

    Example:
        >>> builder_defaults("regression")
        {'n_hidden': 1, 'n_neurons': 30, 'input_shape': (8,), 'outputs': 1}
    """
    builder = _known_builder(build_model)
    wanted = {} if builder is None else inspect.signature(builder).parameters
    return {
        name: None if parameter.default is parameter.empty else parameter.default
        for name, parameter in wanted.items()
        if name != "a_layer"
        and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }


def check_known(kind: type, build_model: Any, parameters: Mapping[str, Any]) -> None:
    """Raises for a parameter that neither the estimator nor its builder has."""
    builder = _known_builder(build_model)
    if builder is None:  # What it takes will be asked when it is called, or said to be none.
        return
    wanted = inspect.signature(builder).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in wanted):
        return
    names = sorted({*own_defaults(kind), *builder_defaults(build_model)})
    for name in parameters:
        one_of(kind.__name__, "parameters", name, names)


def check_complete(kind: type, builder: Builder, given: Mapping[str, Any]) -> None:
    """Raises for a parameter that has neither a value nor a default."""
    for name, parameter in inspect.signature(builder).parameters.items():
        is_missing = name in builder_defaults(builder) and name not in given
        if is_missing and parameter.default is parameter.empty:
            must = "be given: the builder has no default for it"
            raise invalid(kind.__name__, name, must, f"no {name}")


def _copied(name: str, value: Any) -> Any:
    return copies(value) if name == "callbacks" else copy.deepcopy(value)


def _arguments() -> dict[str, Any]:
    """Returns what `build_and_fit` and `fit` take, save data, with its default."""
    building, fitting = (inspect.signature(call).parameters for call in (build_and_fit, fit))
    names = {name: building[name].default for name in _OF_BUILDING}
    names |= {
        name: fitting[name].default for name in arguments_of_fit() if name not in _OF_THE_DATA
    }
    return names | {"verbose": 0}  # A search makes many fits, of which none is looked at.


def _belongs(name: str, classes: bool) -> bool:
    return classes or name not in _OF_CLASSES


def _known_builder(build_model: Any) -> Builder | None:
    """Returns the builder, or `None` where `fit` will have to say that it is none."""
    is_name = isinstance(build_model, str) and build_model in list_models()
    is_function = callable(build_model) and not isinstance(build_model, keras.Layer)
    return builder_of(build_model) if is_name or is_function else None
