"""The boto3 session of a snapshot: what AWS's own variables and files say, `.env` too, and nothing else."""

from typing import TYPE_CHECKING, Any

from hyperplane.environment import Environment

if TYPE_CHECKING:
    import boto3

_KEYS = {
    "aws_access_key_id": "AWS_ACCESS_KEY_ID",
    "aws_secret_access_key": "AWS_SECRET_ACCESS_KEY",
    "aws_session_token": "AWS_SESSION_TOKEN",
}


def first_of(environment: Environment, *names: str) -> str | None:
    """Return the first of these variables that says something, or None."""
    return next((value for name in names if (value := environment.get(name))), None)


def make_session(environment: Environment, *, profile: str | None = None) -> "boto3.Session":
    """Return a boto3 session that sees the snapshot, `.env` too, instead of the process environment."""
    import boto3

    asked = {"profile_name": profile} if profile else _asked(environment)
    session = sealed_session(environment)
    region = first_of(environment, "AWS_REGION", "AWS_DEFAULT_REGION")
    made = boto3.Session(botocore_session=session, region_name=region, **asked)
    if "profile_name" in asked or not asked:
        _seal_credentials(session, environment)
    return made


def _asked(environment: Environment) -> dict[str, str]:
    """Return the keys or the profile of the outermost layer that has either."""
    for layer in environment.layers:
        keys = {name: value for name, variable in _KEYS.items() if (value := layer.variables.get(variable))}
        if {"aws_access_key_id", "aws_secret_access_key"} <= keys.keys():
            return keys
        if profile := layer.variables.get("AWS_PROFILE") or layer.variables.get("AWS_DEFAULT_PROFILE"):
            return {"profile_name": profile}
    return {}


def sealed_session(environment: Environment) -> Any:
    """Return a botocore session that takes the snapshot for the process environment."""
    from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES as VARIABLES
    from botocore.session import Session

    unread = {name: (key, None, default, convert) for name, (key, _, default, convert) in VARIABLES.items()}
    session = Session(session_vars=unread)
    for name, (_, variables, _, convert) in VARIABLES.items():
        names = [variables] if isinstance(variables, str) else variables or []
        value = None if name == "profile" else first_of(environment, *names)
        if value:
            session.set_config_variable(name, convert(value) if convert else value)
    # an account knows its endpoint
    session.set_config_variable("ignore_configured_endpoint_urls", True)
    return session


def _seal_credentials(session: Any, environment: Environment) -> None:
    from botocore.credentials import ContainerProvider

    chain = session.get_component("credential_provider")
    chain.remove("env")  # the keys in the snapshot were looked for before
    snapshot = {name: environment.get(name) or "" for name in environment.names()}
    chain.remove("container-role")
    chain.insert_before("iam-role", ContainerProvider(environ=snapshot))
    if not environment.get("AWS_WEB_IDENTITY_TOKEN_FILE"):
        # botocore has no other way to it
        chain.get_provider("assume-role-with-web-identity")._disable_env_vars = True  # noqa: SLF001
    if (environment.get("AWS_EC2_METADATA_DISABLED") or "").lower() == "true":
        chain.remove("iam-role")
