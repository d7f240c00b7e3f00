"""Where parameters come from: exact names in the snapshot, and the order in which sources win."""

import re
from collections.abc import Iterable

from hyperplane.environment import Environment, Found, Origin

ARGUMENT = "argument"
COMMAND_LINE = "command line"
PLATFORM = "platform"
DEFAULT = Origin("default")
OWN_PREFIX = "HYPERPLANE_"
SERVICE_LINK_HINT = (
    "Kubernetes sets such a variable for every service in the namespace: "
    "rename the parameter, or set `enableServiceLinks: false` in the pod's spec."
)
_RANKS = {ARGUMENT: 0, COMMAND_LINE: 1, "environment": 2, PLATFORM: 4}
_ENV_FILE_RANK = 3
_SERVICE_LINK = r"(tcp|udp|sctp)://\S+:\d+"
_SAGEMAKER_PREFIX = "SM_HP_"


def rank(origin: Origin) -> int:
    """Return the place of a source in the order in which they win, from 0."""
    return _RANKS.get(origin.kind, _ENV_FILE_RANK)


def can_name(name: str) -> bool:
    """Say whether a parameter can have this name: settings of ours and `NAME=value` pairs are none."""
    return bool(name) and "=" not in name and "\0" not in name and not name.startswith(OWN_PREFIX)


def find(environment: Environment, names: Iterable[str]) -> list[Found]:
    """Return what the environment, `.env` and the platform say under these names, the winner first."""
    allowed = [name for name in names if can_name(name)]
    found = [hit for name in allowed if (hit := environment.find(name)) is not None]
    found += [hit for name in allowed if (hit := _platform_value(environment, name)) is not None]
    return sorted(found, key=lambda hit: rank(hit.origin))


def _platform_value(environment: Environment, name: str) -> Found | None:
    # SageMaker's training toolkit upper-cases a hyperparameter's name and keeps its dashes
    for spelling in dict.fromkeys((name.upper(), name.upper().replace("_", "-"))):
        variable = _SAGEMAKER_PREFIX + spelling
        if (value := environment.get(variable)) is not None:
            return Found(value, Origin(PLATFORM, variable))
    return None


def is_service_link(origin: Origin, text: str) -> bool:
    """Say whether this is a variable that Kubernetes injects for a service, such as `POSTGRES_PORT`."""
    return "_PORT" in origin.detail and re.fullmatch(_SERVICE_LINK, text) is not None
