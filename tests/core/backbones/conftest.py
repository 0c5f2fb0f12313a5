"""What tests of many networks share."""

import pytest


@pytest.fixture
def norms_do_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """BatchNorm gives back what it gets. On the meta device it takes milliseconds to find the same shape."""
    monkeypatch.setattr("torch.nn.functional.batch_norm", lambda images, *_statistics, **_options: images)
