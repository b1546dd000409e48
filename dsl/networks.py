"""Networks of Equinox, Flax NNX and Flax Linen as functions of their arrays.

A `Framework` knows how one kind of class is built, which arrays it has, by name, and how it acts on a batch. A network
is a function of its weights: one that keeps other state (averages of a batch, the keys of a dropout) is refused.
"""

import abc
import inspect
import math
import sys
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

Arrays = Mapping[str, Any]
Note = Callable[[str, Any], None]
"""Is told the name of each submodule that was called, and what it put out."""


class Framework(abc.ABC):
    """How networks of one library are built and called.

    Attributes:
        network: the class.
        fields: what its constructor is given.
    """

    own: ClassVar[tuple[str, ...]] = ()
    """Parameters of constructors that are not the user's to give."""

    def __init__(self, network: Any, fields: Mapping[str, Any]) -> None:
        self.network, self.fields = network, fields

    @classmethod
    def parameters(cls, network: Any) -> dict[str, inspect.Parameter]:
        """The parameters of the constructor of a class."""
        return dict(inspect.signature(network).parameters)

    @abc.abstractmethod
    def arrays(self, key: Key[Array, ""], shape: tuple[int, ...]) -> dict[str, Any]:
        """The arrays of a new network that reads x of this shape, by name."""

    @abc.abstractmethod
    def apply(self, arrays: Arrays, x: Float[Array, "n *shape"], note: Note | None = None) -> Float[Array, "n ..."]:
        """The output for each x of a batch; `note` is told what the modules in the network put out."""


class OfEquinox(Framework):
    """A subclass of `equinox.Module`, which acts on one x, and takes a `key` if it draws weights."""

    own: ClassVar[tuple[str, ...]] = ("key",)

    def arrays(self, key: Key[Array, ""], shape: tuple[int, ...]) -> dict[str, Any]:
        """All arrays, by their path in the module."""
        leaves = jax.tree_util.tree_leaves_with_path(eqx.filter(self._built(key), eqx.is_array))
        return {_name(path): leaf for path, leaf in leaves}

    def apply(self, arrays: Arrays, x: Float[Array, "n *shape"], note: Note | None = None) -> Float[Array, "n ..."]:
        """The module mapped over the batch."""
        outline = eqx.filter_eval_shape(self._built, jax.random.key(0))
        place = lambda path, leaf: arrays[_name(path)] if isinstance(leaf, jax.ShapeDtypeStruct) else leaf
        module = jax.tree_util.tree_map_with_path(place, outline)
        if note is None:
            return jax.vmap(module)(x)

        def one(x: Float[Array, "*shape"]) -> tuple[Any, dict[str, Any]]:
            called: dict[str, Any] = {}
            out = _overheard(module, "", called.__setitem__)(x)
            return out, {name: value for name, value in called.items() if eqx.is_array(value)}

        out, called = jax.vmap(one)(x)
        for name in self._order(module, x[0], called):
            note(name, called[name])
        return out

    def _order(self, module: Any, x: Any, called: Mapping[str, Any]) -> list[str]:
        """The names in the order of calls, which a mapped dict has lost."""
        names: list[str] = []
        jax.eval_shape(lambda: _overheard(module, "", lambda name, _: names.append(name))(x))
        return [name for name in dict.fromkeys(names) if name in called]

    def _built(self, key: Key[Array, ""]) -> Any:
        takes = "key" in self.parameters(self.network)
        return self.network(**self.fields, **({"key": key} if takes else {}))


class OfNnx(Framework):
    """A subclass of `flax.nnx.Module`, which acts on a batch and takes `rngs`."""

    own: ClassVar[tuple[str, ...]] = ("self", "rngs")

    @classmethod
    def parameters(cls, network: Any) -> dict[str, inspect.Parameter]:
        """Those of `__init__`: the signature of the class is that of its metaclass."""
        return dict(inspect.signature(network.__init__).parameters)

    def arrays(self, key: Key[Array, ""], shape: tuple[int, ...]) -> dict[str, Any]:
        """All parameters, by their path in the module."""
        from flax import nnx

        _, state = nnx.split(self._built(key))
        found = nnx.to_flat_state(state)
        others = sorted({type(variable).__name__ for _, variable in found if not isinstance(variable, nnx.Param)})
        _refuse(others)
        return {_dotted(path): variable.get_value() for path, variable in found}

    def apply(self, arrays: Arrays, x: Float[Array, "n *shape"], note: Note | None = None) -> Float[Array, "n ..."]:
        """The module on the batch."""
        from flax import nnx

        names: list[str] = []

        def built() -> Any:
            module = self._built(jax.random.key(0))
            names.extend(_in_definition_order(module))
            return module

        graph, state = nnx.split(nnx.eval_shape(built))
        given = [(path, variable.replace(arrays[_dotted(path)])) for path, variable in nnx.to_flat_state(state)]
        module = nnx.merge(graph, nnx.from_flat_state(given))
        if note is None:
            return module(x)
        out, called = nnx.capture(module, nnx.Intermediate, method_outputs=nnx.Intermediate)(x)
        values = {_dotted(path[:-1]): value for path, value in nnx.to_flat_state(called) if path[-1] == "__call__"}
        for name in filter(values.__contains__, names):
            note(name, values[name].get_value()[-1])
        return out

    def _built(self, key: Key[Array, ""]) -> Any:
        from flax import nnx

        return self.network(**self.fields, rngs=nnx.Rngs(key))


class OfLinen(Framework):
    """A subclass of `flax.linen.Module`, which acts on a batch."""

    own: ClassVar[tuple[str, ...]] = ("parent", "name")

    def arrays(self, key: Key[Array, ""], shape: tuple[int, ...]) -> dict[str, Any]:
        """All parameters, by their path in the module."""
        from flax.traverse_util import flatten_dict

        variables = self.network(**self.fields).init(key, jnp.zeros((1, *shape), float))
        _refuse(sorted(set(variables) - {"params"}))
        return flatten_dict(variables.get("params", {}), sep=".")

    def apply(self, arrays: Arrays, x: Float[Array, "n *shape"], note: Note | None = None) -> Float[Array, "n ..."]:
        """The module on the batch."""
        import flax.linen as nn
        from flax.traverse_util import unflatten_dict

        params = {"params": unflatten_dict(dict(arrays), sep=".")}
        if note is None:
            return self.network(**self.fields).apply(params, x)

        def overheard(call: Any, arguments: Any, named: Any, context: Any) -> Any:
            out = call(*arguments, **named)
            if context.method_name == "__call__" and context.module.path:
                note(_dotted(context.module.path), out)
            return out

        with nn.intercept_methods(overheard):
            return self.network(**self.fields).apply(params, x)


def framework(network: Any) -> type[Framework] | None:
    """The library that a class of networks is of; None for what is no class of networks.

    Flax is looked for among what is imported already: a class of it cannot exist before.
    """
    kinds = {"equinox": OfEquinox, "flax.nnx": OfNnx, "flax.linen": OfLinen}
    if not isinstance(network, type) or "__call__" not in dir(network):
        return None
    known = ((kind, sys.modules.get(name)) for name, kind in kinds.items())
    return next((kind for kind, module in known if module is not None and issubclass(network, module.Module)), None)


def _refuse(others: list[str]) -> None:
    if others:
        raise ValueError(f"it keeps {', '.join(others)}; a model is a function of its weights alone")


class _Overheard:
    """A callable module that tells what it puts out."""

    def __init__(self, module: Any, name: str, note: Note) -> None:
        self._module, self._name, self._note = module, name, note

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        out = self._module(*arguments, **named)
        self._note(self._name, out)
        return out

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


def _overheard(module: Any, at: str, note: Note) -> Any:
    """An Equinox module in which every module below it is overheard."""

    def below(path: Any, node: Any) -> Any:
        if not isinstance(node, eqx.Module):
            return node
        name = at + jax.tree_util.keystr(path)
        inside = _overheard(node, name, note)
        return _Overheard(inside, name.removeprefix("."), note) if "__call__" in dir(type(node)) else inside

    return jax.tree_util.tree_map_with_path(
        below, module, is_leaf=lambda node: node is not module and isinstance(node, eqx.Module)
    )


def _in_definition_order(module: Any) -> list[str]:
    """The names of the modules of a new NNX module: in the order in which it defines them, inner ones first."""
    from flax import nnx

    found: dict[Any, Any] = {tuple(path): inside for path, inside in nnx.iter_modules(module)}

    def number(path: tuple[Any, ...], step: Any) -> int:
        names = list(vars(found[path])) if path in found else []
        return step if isinstance(step, int) else names.index(step) if step in names else len(names)

    def place(path: tuple[Any, ...]) -> tuple[float, ...]:
        return (*(number(path[:i], step) for i, step in enumerate(path)), math.inf)

    return [_dotted(path) for path in sorted(found, key=place) if path]


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path).removeprefix(".")


def _dotted(path: tuple[Any, ...]) -> str:
    return ".".join(map(str, path))
