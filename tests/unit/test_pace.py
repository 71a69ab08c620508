"""When the next copy is asked beside one that is late."""

from nodeagent.core.pace import (
    ENOUGH,
    FIRST_GUESS_S,
    LEAST_S,
    MOST_S,
    PEERS_MAX,
    SAMPLES,
    Paces,
)


def test_of_a_peer_that_is_hardly_known_a_guess_is_made() -> None:
    paces = Paces()
    assert paces.patience_s("a") == FIRST_GUESS_S
    for _ in range(ENOUGH - 1):
        paces.took("a", 0.001)
    assert paces.patience_s("a") == FIRST_GUESS_S


def test_patience_is_what_nearly_all_answers_took_of_late() -> None:
    paces = Paces()
    for _ in range(SAMPLES):
        paces.took("a", 3.0)  # Long ago.
    for n in range(SAMPLES):
        paces.took("a", 1.0 if n == 7 else 0.1)
    assert paces.patience_s("a") == 0.1
    assert paces.patience_s("b") == FIRST_GUESS_S


def test_patience_has_bounds_and_so_has_memory() -> None:
    paces = Paces()
    for _ in range(SAMPLES):
        paces.took("fast", 0.0001)
        paces.took("slow", 100.0)
    assert (paces.patience_s("fast"), paces.patience_s("slow")) == (LEAST_S, MOST_S)
    for n in range(PEERS_MAX):
        paces.took(str(n), 1.0)
    assert paces.patience_s("fast") == FIRST_GUESS_S
