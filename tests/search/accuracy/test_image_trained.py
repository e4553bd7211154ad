"""What a user writes behind ``proxy:`` and ``supernet:``."""

from pathlib import Path

import numpy as np
import pytest

from mnaslat.errors import ImageSetError, SearchError
from mnaslat.search.accuracy.image_trained import image_source
from mnaslat.search.accuracy.proxy import ProxyAccuracy
from mnaslat.search.accuracy.source import decoded_candidates
from mnaslat.search.accuracy.supernet import SupernetAccuracy
from tests.search.tiny_networks import tiny_space


def test_the_digits_are_what_nothing_means() -> None:
    source = image_source("proxy", "", tiny_space())
    assert isinstance(source, ProxyAccuracy)
    assert source.description.startswith("proxy on digits ")
    assert "resolution=8 width=1.0" in source.description
    assert isinstance(image_source("supernet", "", tiny_space()), SupernetAccuracy)


def test_settings_follow_the_data_set() -> None:
    text = "digits,n_epochs=2,optimizer=rmsprop,augment=false,n_train=none,dropout=0.1,width=0.5"
    description = image_source("proxy", text, tiny_space(), seed=7).description
    for part in ("n_epochs=2", "optimizer=rmsprop", "augment=False", "n_train=None", "dropout=0.1"):
        assert part in description
    assert "width=0.5" in description and "seed=7" in description
    description = image_source("supernet", "digits,n_steps=3,seed=9", tiny_space()).description
    assert "n_steps=3" in description and "seed=9" in description


def test_a_supernet_is_kept_in_the_folder(tmp_path: Path) -> None:
    steps_shown: list[tuple[int, int]] = []
    source = image_source(
        "supernet",
        "digits,n_steps=2",
        tiny_space(),
        folder=tmp_path,
        progress=lambda done, total: steps_shown.append((done, total)),
    )
    space = tiny_space()
    first = np.zeros((1, len(space.decisions)), dtype=np.int64)
    ((_, result),) = source.evaluate(decoded_candidates(space, first))
    assert result.accuracy is not None
    assert steps_shown == [(1, 2), (2, 2)]
    assert len(list(tmp_path.glob("supernet-*.pt"))) == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("digits,epochs=2", "No setting 'epochs' of proxy. Known: .*n_epochs"),
        ("digits,training=2", "No setting 'training'"),
        ("digits,n_epochs", "Cannot read 'n_epochs'"),
        ("digits,n_epochs=two", "Wrong setting for proxy: n_epochs: "),
        ("digits,n_epochs=0", "Wrong setting for proxy: n_epochs must be at least 1"),
        ("digits,augment=maybe", "expected true or false, got 'maybe'"),
        ("digits,optimizer=adam", "optimizer must be one of"),
    ],
)
def test_wrong_settings_are_refused(text: str, reason: str) -> None:
    with pytest.raises(SearchError, match=reason):
        image_source("proxy", text, tiny_space())


def test_an_unknown_data_set_is_refused() -> None:
    with pytest.raises(ImageSetError, match="Known: digits"):
        image_source("supernet", "imagenet", tiny_space())
