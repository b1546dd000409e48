"""Messages between the processes of a run, through a key-value store of this process."""

import numpy as np
import pytest

from runs.interrupts import Interrupts
from runs.team import FORGET_EVERY, PART_BYTES, Gone, Overhearing, Team


class Values:
    """The key-value store of a coordination service, as far as a team uses it."""

    def __init__(self):
        self.kept = {}

    def key_value_set(self, key, value, allow_overwrite=False):
        assert allow_overwrite or key not in self.kept
        self.kept[key] = value

    key_value_set_bytes = key_value_set

    def blocking_key_value_get(self, key, milliseconds):
        if key not in self.kept:
            raise RuntimeError("DEADLINE_EXCEEDED: nobody has set it")
        return self.kept[key]

    blocking_key_value_get_bytes = blocking_key_value_get

    def key_value_dir_get(self, folder):
        return [(key, value) for key, value in self.kept.items() if key.startswith(f"{folder}/")]

    def key_value_delete(self, folder):
        for key in [key for key in self.kept if key == folder or key.startswith(f"{folder}/")]:
            del self.kept[key]


@pytest.fixture
def team():
    values = Values()
    return [Team(values, rank, 3) for rank in range(3)]


def test_followers_read_messages_in_order(team):
    leader, *followers = team
    leader.send({"do": "advance", "n": 3})
    leader.send({"do": "observe", "due": ["TestLoss"]})
    for follower in followers:
        assert follower.receive(0) == ({"do": "advance", "n": 3}, {})
        assert follower.receive(0) == ({"do": "observe", "due": ["TestLoss"]}, {})
        assert follower.receive(0) is None


def test_arrays_keep_their_bits_in_parts_of_any_number(team):
    large = np.random.default_rng(0).integers(0, 2**32, PART_BYTES, np.uint32)  # four parts
    odd = np.array([-0.0, np.nan, np.inf], np.float32).reshape(1, 3)
    team[0].send({"do": "begin"}, {"large": large, "odd": odd.T, "live": np.array([True, False]), "n": np.int32(3)})
    _, arrays = team[1].receive(0)
    np.testing.assert_array_equal(arrays["large"], large)
    assert arrays["odd"].tobytes() == odd.T.tobytes()
    assert arrays["odd"].shape == (3, 1)
    assert arrays["live"].tolist() == [True, False]
    assert arrays["n"] == 3
    assert arrays["n"].shape == ()


def test_what_all_have_read_is_forgotten_and_nothing_else(team):
    leader, first, second = team
    for n in range(3 * FORGET_EVERY):
        leader.send({"do": "advance", "n": n})
        assert first.receive(0)[0]["n"] == n
    assert len(leader.client.key_value_dir_get("stepwell/message")) == 3 * FORGET_EVERY
    for n in range(3 * FORGET_EVERY):
        assert second.receive(0)[0]["n"] == n
    for n in range(FORGET_EVERY):
        leader.send({"do": "advance", "n": n})
    assert len(leader.client.key_value_dir_get("stepwell/message")) < 2 * FORGET_EVERY
    for n in range(FORGET_EVERY):
        assert second.receive(0)[0]["n"] == n


def test_a_process_that_does_not_answer_is_told(team, monkeypatch):
    leader, first, second = team
    monkeypatch.setattr("runs.team.ANSWER_SECONDS", 0.1)
    leader.send({"do": "drop"})
    first.receive(0)
    with pytest.raises(Gone, match="process 2 of 3 does not answer"):
        leader.hear_all()
    second.receive(0)
    leader.hear_all()


def test_a_signal_of_any_process_reaches_the_leader(team, monkeypatch):
    monkeypatch.setattr("runs.team.POLL_SECONDS", 0.0)
    heard = Overhearing(Interrupts(), team[0])
    assert heard.received is None
    team[2].ask_to_stop(15)
    assert heard.received == 15


def test_what_followers_say_of_themselves_is_gathered_in_their_order(team):
    team[2].present({"study": "b"})
    team[1].present({"error": "no such file"})
    assert team[0].gather() == [{"error": "no such file"}, {"study": "b"}]
