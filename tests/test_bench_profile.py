"""The profile: it measures requests that are answered, and steps that do their work."""

from bench.profile import P256, prepared


def test_every_step_can_be_called_again_and_again() -> None:
    """The whole requests are answered 200, 204 and 201, or the profile ends."""
    with prepared() as steps:
        for step in steps:
            step.call()
            step.call()
        names = [step.name for step in steps]
    assert len(set(names)) == len(names)
    assert P256 in names
