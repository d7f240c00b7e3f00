"""Suites of tests that say how a context and a secret source behave; fakes and real objects pass them.

Inherit from a suite in a class that pytest collects, and give it the fixtures that it names::

    class TestMyVault(SecretSourceConformance):
        @pytest.fixture
        def make_source(self):
            return MyVault.holding
"""

from hyperplane.testing.conformance.events import EventsConformance
from hyperplane.testing.conformance.life import LifeConformance
from hyperplane.testing.conformance.outputs import OutputsConformance
from hyperplane.testing.conformance.params import ParamsConformance
from hyperplane.testing.conformance.s3 import S3Conformance
from hyperplane.testing.conformance.secrets import SecretsConformance
from hyperplane.testing.conformance.secretsources import SecretSourceConformance
from hyperplane.testing.conformance.stopping import StoppingConformance

__all__ = [
    "EventsConformance",
    "LifeConformance",
    "OutputsConformance",
    "ParamsConformance",
    "S3Conformance",
    "SecretSourceConformance",
    "SecretsConformance",
    "StoppingConformance",
]
