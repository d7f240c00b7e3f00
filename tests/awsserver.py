"""A server of AWS's protocols on this machine: moto over HTTP, and the denials that moto cannot word."""

import json
import threading
from contextlib import contextmanager
from urllib.request import Request, urlopen

import boto3
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

REGION = "eu-north-1"


class AwsServer:
    """A moto server, empty until a test fills it."""

    def __init__(self):
        self._denied = {}
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.port}"

    def stop(self):
        """Stop the server."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def reset(self):
        """Forget everything."""
        with urlopen(Request(f"{self.url}/moto-api/reset", method="POST"), timeout=30) as answer:
            answer.read()

    def variables(self):
        """Return the variables of a process that talks to the server."""
        return {
            "AWS_ACCESS_KEY_ID": "AKIATESTING",
            "AWS_SECRET_ACCESS_KEY": "key-of-the-tests",
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": self.url,
        }

    def client(self, service):
        """Return a client."""
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id="AKIATESTING",
            aws_secret_access_key="key-of-the-tests",
        )

    @contextmanager
    def denying(self, *actions, code="AccessDeniedException", message=None):
        """Answer these actions as AWS does when they are not allowed: `service:Action`."""
        denied = {
            action.partition(":")[2]: {
                "__type": code,
                "Message": message
                or f"User: arn:aws:iam::1:user/job is not authorized to perform: {action} on resource: x",
            }
            for action in actions
        }
        self._denied.update(denied)
        try:
            yield
        finally:
            self._denied.clear()

    def _answer(self, environ, start_response):
        action = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
        if action not in self._denied:
            return self._moto(environ, start_response)
        start_response("400 Bad Request", [("Content-Type", "application/x-amz-json-1.1")])
        return [json.dumps(self._denied[action]).encode()]
