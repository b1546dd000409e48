import pytest

from dsl import *


def test_losses_and_penalties_have_one_form():
    squared, l2 = SquaredLoss(), L2(0.1)
    assert digest(squared + l2) == digest(l2 + squared)
    assert 0.5 * (0.5 * squared) == 0.25 * squared
    assert 1.0 * squared == squared
    assert 2.0 * (squared + l2) == 2.0 * squared + 2.0 * l2
    assert (squared + l2) + L2(0.2) == squared + (l2 + L2(0.2))
    assert digest(l2 + L2(0.2)) == digest(L2(0.2) + l2)


def test_a_name_given_twice_is_refused():
    with pytest.raises(SpecError, match="the name 'd' is given twice"):
        loads('{"kind": "Hypercube", "d": 3, "d": 4}')


def test_a_polynomial_written_by_hand_is_in_canonical_order():
    one, two = Character((0,)), Character((1,))
    assert FourierPolynomial((one, two)) == bits(2)[0] + bits(2)[1]
    with pytest.raises(SpecError, match=r"terms\[1\]: out of canonical order"):
        FourierPolynomial((two, one))
    with pytest.raises(SpecError, match=r"terms\[1\]: out of canonical order, or twice"):
        FourierPolynomial((one, one))
