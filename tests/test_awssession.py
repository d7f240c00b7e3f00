"""The session of AWS: what the snapshot says, and nothing else."""

import pytest

from hyperplane.awssession import make_session
from hyperplane.environment import Environment

WEB_IDENTITY = {"AWS_WEB_IDENTITY_TOKEN_FILE": "/run/token", "AWS_ROLE_ARN": "arn:aws:iam::1:role/job"}


@pytest.mark.parametrize("variables", [{}, WEB_IDENTITY], ids=["none", "told"])
def test_a_web_identity_is_one_of_the_snapshot(variables):
    """A token file that only the process was told of is not used."""
    session = make_session(Environment(variables))
    chain = session._session.get_component("credential_provider")
    assert (not variables) == chain.get_provider("assume-role-with-web-identity")._disable_env_vars


def test_the_region_is_that_of_the_snapshot(monkeypatch):
    """Not the one of the process."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    told = [
        make_session(Environment(variables)).region_name for variables in ({}, {"AWS_REGION": "eu-north-1"})
    ]
    assert [None, "eu-north-1"] == told
