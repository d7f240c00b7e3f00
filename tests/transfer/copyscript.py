"""A process that copies to or from the scripted S3: download|upload, fast|plain, ENDPOINT, PREFIX, PLACE."""

import sys
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).parent.parent))

from copying import fetch, send
from storekinds import store_of

from hyperplane.transfer import upload

# the scripted S3 computes checksums in Python: less of it is to be under way
module = sys.modules[upload.__module__]
module.SINGLE_BYTES, module.part_bytes_of = 1 << 20, lambda size_bytes: 1 << 20

verb, path, endpoint_url, prefix, place = sys.argv[1:]
server = SimpleNamespace(
    endpoint_url=endpoint_url,
    bucket="test",
    region="us-east-1",
    ca_file=None,
    access_key_id="faulty-key-id",
    secret_access_key="faulty-secret-key",
)
store = store_of(server, path)
print("begun", flush=True)
if verb == "download":
    fetch(store, prefix, place)
else:
    send(store, place, prefix)
