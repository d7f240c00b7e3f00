"""AWS Secrets Manager and SSM Parameter Store as sources of secrets."""

from hyperplane.secretsources.aws.clients import Clients
from hyperplane.secretsources.aws.services import ParameterStore, SecretsManager
from hyperplane.secretsources.aws.source import AwsSource

__all__ = ["AwsSource", "Clients", "ParameterStore", "SecretsManager"]
