"""One signed request without a client of boto3, which takes longer to make than most transfers last."""

from typing import Any
from urllib.parse import quote

from hyperplane.stores.account import Account
from hyperplane.stores.failures import botocore_errors, error_of
from hyperplane.stores.objects import Checksums, checksums_in


def checksums(account: Account, bucket: str, key: str) -> Checksums:
    """Ask the store what it knows of the bytes of one object; redirects are not followed."""
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials
    from botocore.httpsession import URLLib3Session

    found = account.credentials.get()
    signer = S3SigV4Auth(
        Credentials(found.access_key_id, found.secret_access_key, found.session_token), "s3", account.region
    )
    request = AWSRequest(
        method="HEAD",
        url=f"{account.url_of(bucket)}/{quote(key, safe='/~')}",
        headers={"x-amz-checksum-mode": "ENABLED"},
    )
    signer.add_auth(request)
    trusted: Any = True if account.ca_file is None else str(account.ca_file)
    timeouts: Any = (account.connect_timeout_s, account.read_timeout_s)
    session = URLLib3Session(verify=trusted, timeout=timeouts)
    url = f"s3://{bucket}/{key}"
    with botocore_errors(url):
        try:
            reply = session.send(request.prepare())
        finally:
            session.close()
    if reply.status_code != 200:
        raise error_of(url, status=reply.status_code, code="")
    return checksums_in({name.lower(): value for name, value in reply.headers.items()})
