"""Rules of `explain` on how hard a target is: isoleap, the exponent of SGD, alignment and the bounds that follow."""

from math import comb

from dsl.domains import inner
from dsl.kernels import KernelMachine
from dsl.prediction import Prediction, about
from dsl.spec import Spec
from dsl.support import Support, Unknown
from dsl.training import Training
from theory import isoleap, leap, levels, symmetry

LARGEST_TENSOR = 2**20


def isoleap_rule(spec: Spec) -> Prediction | None:
    """The leap in the worst orthonormal basis of a Gaussian target (2302.11055)."""
    return about(spec, "isoleap", "2302.11055", _isoleap, False)


def exponent_rule(spec: Spec) -> Prediction | None:
    """The exponent of d in the steps of online SGD (2302.11055)."""
    return about(spec, "SGD exponent in d", "2302.11055", _exponent, False)


def alignment_rule(spec: Spec) -> Prediction | None:
    """The alignment of the target with the signed permutations (2208.03113)."""
    return about(spec, "alignment", "2208.03113", _alignment, False)


def csq_rule(spec: Spec) -> Prediction | None:
    """What correlational queries cost at least before the first coordinate is found (2208.03113)."""
    return about(spec, "CSQ bound", "2208.03113", _csq, False)


def linear_rule(spec: Spec) -> Prediction | None:
    """The least error of any linear or kernel method with d features, on average over the orbit."""
    return about(spec, "linear-method bound", "2208.03113", _linear, False)


def kernel_rule(spec: Spec) -> Prediction | None:
    """The least error of kernel regression on n examples: a linear method with n features (2208.03113)."""
    if not isinstance(spec, Training) or not isinstance(inner(spec.model), KernelMachine):
        return None
    return about(spec, "kernel bound", "2208.03113", lambda support: _kernel(support, spec.task.size), False)


def _isoleap(support: Support) -> tuple[int, str]:
    if support.fourier:
        raise Unknown("isoleap is defined on Gaussian inputs, which rotations leave as they are")
    terms, size = _renumbered(support)
    degree = max((sum(k for _, k in term) for term in terms), default=0)
    if size**degree > LARGEST_TENSOR:
        raise Unknown(f"its Hermite tensors have {size}^{degree} entries; the leap in the given basis is a lower bound")
    stages = isoleap.subspace_flow(isoleap.hermite_tensors(terms, size))
    found = max((stage.leap for stage in stages), default=0)
    dimensions = ", ".join(f"{stage.basis.shape[1]} (+{stage.leap})" for stage in stages)
    return found, f"dimensions of the span that is found, with the leap of each stage: {dimensions or 'it is constant'}"


def _renumbered(support: Support) -> tuple[dict[tuple[tuple[int, int], ...], float], int]:
    """The terms on the coordinates that occur, numbered from 0: tensors of all d coordinates would not fit."""
    number = {i: n for n, i in enumerate(sorted({i for term in support.terms for i in term}))}
    keys = (tuple((number[i], k) for i, k in term.items()) for term in support.terms)
    return dict(zip(keys, support.coefficients, strict=True)), len(number)


def _exponent(support: Support) -> tuple[int, str]:
    if not support.terms:
        raise Unknown("the target is constant: nothing is to be found")
    found = leap.leap(support.terms)
    return max(found - 1, 1), (
        f"max(leap - 1, 1) at leap {found}: about d^{max(found - 1, 1)} steps of online SGD, up to logarithms, "
        "for isotropic inputs, a generic activation and fixed coefficients"
    )


def _level_weights(support: Support) -> list[float]:
    if not support.fourier:
        raise Unknown("signed permutations act on bits; the target is one of Gaussian inputs")
    if not support.terms:
        raise Unknown("the target is constant: every function of the orbit is the same")
    weights = [0.0] * (support.d + 1)
    for term, coefficient in zip(support.terms, support.coefficients, strict=True):
        weights[len(term)] += coefficient**2
    return weights


def _alignment(support: Support) -> tuple[float, str]:
    weights = _level_weights(support)
    found = float(levels.level_alignment(weights, support.d))
    level = max(range(support.d + 1), key=lambda k: weights[k] / comb(support.d, k))
    return found, f"with the signed permutations of {support.d} bits: max_k W_k / C(d, k), attained at level {level}"


def _csq(support: Support) -> tuple[float, str]:
    found = levels.level_alignment(_level_weights(support), support.d)
    return float(
        symmetry.csq_bound(found)
    ), "queries / tolerance^2 before one of them notices the target, 1/2 / alignment"


def _linear(support: Support) -> tuple[float, str]:
    weights, d = _level_weights(support), support.d
    at = lambda n: float(levels.linear_method_bound(weights, d, n) / sum(map(levels.Fraction, weights)))
    return at(
        d
    ), f"share of |f|^2 that {d} features leave, on average over signed permutations; {d**2} leave {at(d**2):.3g}"


def _kernel(support: Support, n: int | None) -> tuple[float, str]:
    weights = _level_weights(support)
    if n is None:
        raise Unknown("the kernel machine sees the whole law: it has as many features as there are points")
    share = float(levels.linear_method_bound(weights, support.d, n) / sum(map(levels.Fraction, weights)))
    return share, (
        f"share of |f|^2 that {n} examples leave at least, on average over signed permutations; "
        "for a kernel that these leave as it is, on average over samples for this target as well"
    )
