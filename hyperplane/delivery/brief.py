"""What a deliverer is told before it begins: one line of JSON, with secrets in it, through a pipe."""

import base64
import json
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

from hyperplane import secretsources
from hyperplane import settings as job_settings
from hyperplane.delivery.bucket import BucketDestination
from hyperplane.delivery.folder import FolderDestination
from hyperplane.delivery.places import FILE_SCHEME, Destination
from hyperplane.environment import Environment
from hyperplane.masking import Masker
from hyperplane.rundir import RunDir
from hyperplane.secretsources import SecretSource
from hyperplane.settings import JobSettings
from hyperplane.stores.account import Account, account_of
from hyperplane.stores.buckets import USUAL_SECRETS, credentials_in
from hyperplane.stores.credentials import GivenCredentials
from hyperplane.stores.location import Location
from hyperplane.stores.s3 import S3Store


@dataclass(frozen=True, slots=True)
class Brief:
    """Which run goes where, and with what it is asked for there.

    `outputs`: the outputs folder. `variables`: all that the environment and `.env` say. `secrets`: those
    that can be listed, by name, as base64.
    """

    run: str
    url: str
    outputs: str
    folder: str
    variables: Mapping[str, str] = field(repr=False)
    secrets: Mapping[str, str] = field(repr=False)

    @classmethod
    def of(
        cls, run: RunDir, url: str, outputs: Path, environment: Environment, secrets: Mapping[str, bytes]
    ) -> Self:
        """Put a brief together."""
        variables = {name: environment.get(name) or "" for name in environment.names()}
        encoded = {name: base64.b64encode(value).decode() for name, value in secrets.items()}
        return cls(str(run.path), url, str(outputs), str(environment.folder), variables, encoded)

    @classmethod
    def parse(cls, line: bytes) -> Self:
        """Read a brief."""
        return cls(**json.loads(line))

    def line(self) -> bytes:
        """Return the brief as a line."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @property
    def run_dir(self) -> RunDir:
        """The run."""
        return RunDir(Path(self.run))

    @property
    def outputs_dir(self) -> Path:
        """The outputs folder."""
        return Path(self.outputs)

    def open(self, masker: Masker) -> Destination:
        """Make every secret known to the masker, and return the destination.

        Raises `SettingsError` or `CredentialsError`.
        """
        found = {name: base64.b64decode(value) for name, value in self.secrets.items()}
        masker.add_all(pair for pair in found.items() if pair[0] != secretsources.BUCKET_NAME)
        environment = Environment.capture(dict(self.variables), env_file=None, folder=Path(self.folder))
        with warnings.catch_warnings():
            # whoever wrote the brief has warned already
            warnings.simplefilter("ignore")
            settings = job_settings.load(environment)
            sources = secretsources.registered_sources(masker, environment, settings)
        asked = (*sources, *secretsources.stored_sources(environment, settings, masker))
        return open_destination(self.url, environment, settings, Keys(found, asked), masker)


class Keys:
    """The secrets that S3 is asked with: looked up each time, for mounted ones change."""

    def __init__(self, known: Mapping[str, bytes], sources: tuple[SecretSource, ...]) -> None:
        self._known = known
        self._sources = sources

    def find(self, name: str) -> str | None:
        """Return a secret of this name, or None."""
        for source in self._sources:
            if (found := source.find(name)) is not None:
                return found.value.decode(errors="surrogateescape")
        known = self._known.get(name)
        return None if known is None else known.decode(errors="surrogateescape")

    def credentials_for(self, bucket: str, settings: JobSettings) -> GivenCredentials | None:
        """Return those of the secrets, unless they are for another bucket, or None for AWS's own chain."""
        own = settings.s3_bucket or self.find(secretsources.BUCKET_NAME)
        if own not in (None, bucket) or not self.find(f"{USUAL_SECRETS}_access_key_id"):
            return None
        return credentials_in(self.find, USUAL_SECRETS)


def open_destination(
    url: str, environment: Environment, settings: JobSettings, keys: Keys, masker: Masker
) -> Destination:
    """Return the destination that a URL names."""
    if url.startswith(FILE_SCHEME):
        return FolderDestination(url)
    credentials = keys.credentials_for(Location.parse(url).bucket, settings)
    account: Account = account_of(environment, settings, credentials, learn=masker.add)
    return BucketDestination(url, lambda bucket: S3Store(account, bucket))
