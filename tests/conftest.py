"""Settings that all tests share."""

from hypothesis import settings

# No deadline: how long an example takes depends on the machine, not on what must be true.
settings.register_profile("mnaslat", deadline=None)
settings.load_profile("mnaslat")
