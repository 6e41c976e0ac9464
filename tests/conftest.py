"""What all tests share: their databases (:mod:`tests.servers`), and how hard the property tests try.

``KFSTATE_HYPOTHESIS`` names the profile: ``dev`` (default), ``ci`` (the same examples on every run), ``thorough``.
"""

import os

from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.servers.plugin"]

# Shared machines are slow now and then: how long an example takes is no property of the code.
settings.register_profile("dev", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(
    "ci", settings.get_profile("dev"), max_examples=60, derandomize=True, database=None, print_blob=True
)  # the same examples on every run: more of them would find nothing new the second time
settings.register_profile("thorough", settings.get_profile("dev"), max_examples=5_000)
settings.load_profile(os.environ.get("KFSTATE_HYPOTHESIS", "dev"))
