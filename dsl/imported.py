"""`Imported`: a network of the user's own, written in Equinox, Flax NNX or Flax Linen, as a model.

A spec is data: it names a class in a module that the user's file has imported. Loading JSON never imports a module, and
builds nothing but classes of networks.
"""

import json
import math
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from dsl.faults import Fault, SpecError, nearest, short
from dsl.fields import text
from dsl.models import Model
from dsl.modules import Fixed
from dsl.networks import Framework, Note, framework
from dsl.spec import Spec

PLAIN = {"int": (int,), "float": (int, float), "bool": (bool,), "str": (str,)}
"""Annotations by which values are checked, and what they accept."""


class Imported(Model[Any, Any]):
    """A network by the name of its module and class, `Imported("my_nets:Net", width=64)`, built with these fields.

    Equinox modules act on one x and take a `key`, Flax modules act on a batch; NNX modules take `rngs`. All arrays of
    floating-point numbers are trained, at the experiment's precision. The code of the class counts as that of any noun
    of the user's: a finished point is not taken when it has changed.
    """

    net: Annotated[str, text(r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$", "'module:Class'")]
    arguments: str = "{}"

    if TYPE_CHECKING:

        def __init__(self, net: str, **fields: Any) -> None: ...

    def __repr__(self) -> str:
        return f"Imported({', '.join([repr(self.net), *(f'{k}={v!r}' for k, v in self._fields().items())])})"

    def check(self) -> Iterable[Fault]:
        """A class of networks in a module that is imported, and fields that it has."""
        found, problem = _found(self.net)
        if problem is not None:
            yield Fault(("net",), problem)
            return
        try:
            fields = self._fields()
        except (ValueError, RecursionError):
            yield Fault(("arguments",), f"expected the text of a JSON object, got {short(self.arguments)}")
            return
        if self.arguments != _text(fields):
            yield Fault(("arguments",), f"expected it in canonical form, {_text(fields)!r}, got {self.arguments!r}")
        yield from _unfit_fields(found, fields)

    def init(self, key: Key[Array, ""], task: Any) -> "Network":
        """The network with random weights of its own."""
        arrays = self.framework().arrays(key, task.shape)
        weights = {name: jnp.asarray(a, float) for name, a in arrays.items() if jnp.issubdtype(a.dtype, jnp.floating)}
        fixed = {name: a for name, a in arrays.items() if name not in weights}
        return Network(weights, Fixed(fixed), self, task.shape, task.outputs is None)

    def unfit(self, task: Any) -> Iterable[Fault]:
        """A network that cannot be built, cannot read the inputs, or puts out something else."""
        two = jax.ShapeDtypeStruct((2, *task.shape), jnp.zeros((), float).dtype)
        try:
            out = eqx.filter_eval_shape(lambda x: self.init(jax.random.key(0), task)(x), two)
        except Exception as error:  # a user's code may raise anything
            said = str(error).strip().partition("\n")[0]
            yield Fault((), f"{self.net} cannot read x of shape {task.shape}: {type(error).__name__}: {said}")
            return
        expected = (2,) if task.outputs is None else (2, task.outputs)
        if getattr(out, "shape", None) != expected:
            got = out.shape[1:] if eqx.is_array(out) or isinstance(out, jax.ShapeDtypeStruct) else type(out).__name__
            wanted = "one number" if task.outputs is None else f"shape ({task.outputs},)"
            yield Fault((), f"{self.net} puts out {got} for one x; the task asks for {wanted}")

    def framework(self) -> Framework:
        """How the network is built and called.

        Raises:
            ValueError: its module is not imported any more.
        """
        found, problem = _found(self.net)
        if problem is not None:
            raise ValueError(f"{self!r}: {problem}")
        kind = framework(found)
        assert kind is not None
        return kind(found, self._fields())

    def _fields(self) -> dict[str, Any]:
        fields = json.loads(self.arguments)
        if not isinstance(fields, dict):
            raise ValueError("expected an object")
        return {name: _frozen(value) for name, value in fields.items()}


def _by_keyword(self: Imported, *net: str, **fields: Any) -> None:
    of_fields: Any = _OF_FIELDS
    own = {name: fields.pop(name) for name in ("net", "arguments") if name in fields}
    written = fields if "arguments" in own else {"arguments": _text(fields)}
    of_fields(self, *net, **own, **written)


_OF_FIELDS = Imported.__init__
setattr(Imported, "__init__", _by_keyword)  # noqa: B010 # fields by keyword, which become text


class Network(eqx.Module):
    """What `Imported` is in one run.

    Attributes:
        weights: the arrays that are trained, by name.
        fixed: the others.
        noun: what knows how the network is built.
        shape: of one x.
        scalar: whether its output is one number.
    """

    weights: dict[str, Array]
    fixed: Fixed
    noun: Spec
    shape: tuple[int, ...] = eqx.field(static=True)
    scalar: bool = eqx.field(static=True)

    def __call__(self, x: Float[Array, "*batch_and_shape"]) -> Float[Array, "..."]:
        """The output for each input, without a last axis where it is one real number."""
        return self._run(x, None)

    def outputs(self, x: Float[Array, "n *shape"]) -> list[Any]:
        """What each submodule puts out for each input, in the order of `names`."""
        called: dict[str, Any] = {}
        self._run(x, _keeping(called))
        return list(called.values())

    @property
    def names(self) -> list[str]:
        """The names of the submodules that are called, in the order of calls (for NNX: of their definition)."""
        called: dict[str, Any] = {}
        eqx.filter_eval_shape(lambda module, x: module._run(x, _keeping(called)), self, jnp.zeros((1, *self.shape)))
        return list(called)

    def _run(self, x: Any, note: Note | None) -> Any:
        noun: Any = self.noun
        batch = x.shape[: x.ndim - len(self.shape)]
        flat = x.reshape(math.prod(batch), *self.shape)
        out = noun.framework().apply(self.weights | self.fixed.arrays, flat, note)
        out = out.reshape(*batch, *out.shape[1:])
        return jnp.squeeze(out, axis=-1) if self.scalar and out.shape[len(batch) :] == (1,) else out


def _keeping(called: dict[str, Any]) -> Note:
    """Keeps what is an array, the last where a module is called again."""
    return lambda name, out: called.__setitem__(name, out) if eqx.is_array(out) else None


def _found(net: str) -> tuple[Any, str | None]:
    """The class of a name, or why there is none."""
    where, _, name = net.partition(":")
    module = sys.modules.get(where)
    if module is None:
        advice = "and a spec imports nothing: name the Python file that imports it, or import it first"
        return None, f"the module {where!r} is not imported, {advice}"
    known = {n for n, value in vars(module).items() if framework(value) is not None}
    if name not in vars(module):  # not `getattr`: a module may import another one for a name that it lacks
        return None, f"the module {where!r} has no {name!r}{nearest(name, known)}"
    if name not in known:
        expected = "a class of Equinox, Flax NNX or Flax Linen modules with a method __call__"
        return None, f"{net} is {short(vars(module)[name])}; expected {expected}{nearest(name, known)}"
    return vars(module)[name], None


def _unfit_fields(network: Any, fields: Mapping[str, Any]) -> Iterable[Fault]:
    kind = framework(network)
    assert kind is not None
    known = {name: p for name, p in kind.parameters(network).items() if name not in kind.own}
    open_ended = any(p.kind is p.VAR_KEYWORD for p in known.values())
    named = {name: p for name, p in known.items() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
    for name in fields:
        if name in kind.own or (name not in named and not open_ended):
            yield Fault((name,), f"{network.__name__} has no such field{nearest(name, named)}")
        elif name in named and not _accepts(named[name].annotation, fields[name]):
            yield Fault((name,), f"expected {_shown(named[name].annotation)}, got {short(fields[name])}")
    for name, parameter in named.items():
        if parameter.default is parameter.empty and name not in fields:
            yield Fault((name,), f"missing: {network.__name__} needs it")


def _accepts(annotation: Any, value: Any) -> bool:
    """Whether a value is of a plain type; every other annotation is the constructor's to check."""
    accepted = PLAIN.get(_shown(annotation))
    if accepted is None:
        return True
    return isinstance(value, accepted) and (isinstance(value, bool) == (accepted == (bool,)))


def _shown(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")


def _text(fields: Mapping[str, Any]) -> str:
    """Fields as canonical JSON.

    Raises:
        SpecError: if a value is no finite number, text, truth value, None, or tuple of them.
    """
    return json.dumps({name: _thawed(name, fields[name]) for name in sorted(fields)}, allow_nan=False)


def _thawed(name: str, value: Any) -> Any:
    if isinstance(value, (np.generic, np.ndarray, jax.Array)) and np.ndim(value) == 0:
        return value.item()
    if isinstance(value, (tuple, list)):
        return [_thawed(name, item) for item in value]
    if value is None or isinstance(value, (bool, int, str)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    problem = f"expected a finite number, text, True, False, None or a tuple of them, got {short(value)}"
    raise SpecError("Imported", [Fault((name,), problem)])


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        raise ValueError("expected no objects inside")
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
