import json

import pytest
from pydantic import ValidationError

from model import demonstration_checkpoint, read_card
from model.card import ModelCard
from model.population import Spread

TAILS = ("minimum", "p1", "p5", "p95", "p99", "maximum")


def test_an_older_card_describes_nobody_and_stays_as_it_was(card):
    fields = json.loads(card.model_dump_json())
    assert "population" not in fields
    assert ModelCard.model_validate(fields).population is None


@pytest.mark.parametrize("tail", TAILS)
def test_few_people_have_no_tails_that_would_single_one_out(tail):
    with pytest.raises(ValidationError, match="fewer than 10 people"):
        Spread.model_validate({"n_known": 9, tail: 1.0})
    assert Spread.model_validate({"n_known": 10, tail: 1.0}).n_known == 10


def test_quantiles_stand_in_their_order():
    with pytest.raises(ValidationError, match="in their order"):
        Spread(n_known=10, p25=2.0, p50=1.0)


def test_the_committed_demonstration_describes_its_simulated_people():
    population = read_card(demonstration_checkpoint()).population
    assert population is not None
    assert (population.subjects, population.cases, population.controls) == (400, 146, 254)
    assert sum(population.sex.values()) == sum(population.sites.values()) == 400
    assert population.subjects_at_unnamed_sites == 0
    assert [one.tr_s for one in population.repetition_times] == [1.5, 1.96, 2.0, 2.5]
    known = {name: spread.n_known for name, spread in population.figures.items()}
    # Filtered scans have no mean to be steady about.
    assert known.pop("tsnr") == 0
    assert set(known.values()) == {400}
