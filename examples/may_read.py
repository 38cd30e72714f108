#!/usr/bin/env python3
"""May this engineer read this data now? Prints the answer, and ends with 0 for an allow alone.

    CONSENTRY_TOKEN=... examples/may_read.py http://127.0.0.1:8620 vendor/ada fabrikam/signInLogs SR-1
    examples/may_read.py /run/consentry.sock vendor/ada fabrikam/signInLogs SR-1

Python's standard library alone.
"""
import http.client
import json
import os
import socket
import sys
from urllib.parse import urlsplit

TIMEOUT_S = 2


class UnixConnection(http.client.HTTPConnection):
    """HTTP over the service's Unix domain socket, which needs no token."""

    def __init__(self, path):
        super().__init__("localhost", timeout=TIMEOUT_S)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def connect(where):
    url = urlsplit(where)
    if url.scheme == "https":
        return http.client.HTTPSConnection(url.netloc, timeout=TIMEOUT_S)
    if url.scheme == "http":
        return http.client.HTTPConnection(url.netloc, timeout=TIMEOUT_S)
    return UnixConnection(where)


def may_read(connection, token, engineer, resource, support_request):
    """Whether the read is allowed, and why or why not. Whatever goes wrong is a no."""
    question = {
        "subject": {"type": "SupportEngineer", "id": engineer},
        "action": {"name": "read"},
        "resource": {"type": "DiagnosticData", "id": resource},
        "context": {"support_request": support_request},
    }
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    try:
        connection.request("POST", "/access/v1/evaluation", json.dumps(question), headers)
        response = connection.getresponse()
        answer = json.loads(response.read())
        if response.status != 200:
            return False, answer["code"]
        return answer["decision"] is True, answer["context"]["reason"]["code"]
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
        return False, f"unavailable: {type(error).__name__}"


if __name__ == "__main__":
    where, engineer, resource, support_request = sys.argv[1:]
    # A connection can be used for many questions, one after the other.
    connection = connect(where)
    allowed, code = may_read(connection, os.environ.get("CONSENTRY_TOKEN"), engineer, resource, support_request)
    print("allowed" if allowed else "denied", code)
    sys.exit(0 if allowed else 1)
