"""The rank sum of TE-NAS against ranks worked by hand."""

import math

import numpy as np
import pytest

from opselect.selectors.proxies.te_nas import rank_sum, te_nas


def test_ranks_by_hand() -> None:
    # Ranks from the worst: condition 2, 3, 1 and regions 1, 2, 3.
    scores = np.array([[-5.0, 10.0], [-2.0, 20.0], [-9.0, 30.0]])
    assert rank_sum(scores).tolist() == [3, 5, 4]


def test_equal_scores_share_a_rank_and_the_next_one_follows() -> None:
    # Condition -7 twice: ranks 1, 1, 2, 3. Regions: 2, 1, 2, 1.
    scores = np.array([[-7.0, 8.0], [-7.0, 4.0], [-3.0, 8.0], [-1.0, 4.0]])
    assert rank_sum(scores).tolist() == [3, 2, 4, 4]


def test_members_without_a_finite_score_take_no_part() -> None:
    scores = np.array([[-5.0, 10.0], [math.nan, 99.0], [-2.0, 20.0], [-math.inf, 15.0], [-1.0, math.inf]])
    assert rank_sum(scores).tolist() == pytest.approx([2, math.nan, 4, math.nan, math.nan], nan_ok=True)


def test_one_member_and_none() -> None:
    assert rank_sum(np.array([[-5.0, 10.0]])).tolist() == [2]
    assert np.isnan(rank_sum(np.array([[math.nan, 10.0]]))).all()
    assert rank_sum(np.empty((0, 2))).shape == (0,)


def test_members() -> None:
    assert te_nas.proxies == ("ntk", "linear_regions")
    assert te_nas.combine is rank_sum
