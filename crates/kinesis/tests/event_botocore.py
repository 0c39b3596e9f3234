"""Reads an event stream from its input as botocore's Kinesis client does, and prints what it saw."""

import json
import sys

import botocore.parsers
import botocore.session
from botocore.exceptions import EventStreamError


class Body:
    """An HTTP body that arrives in pieces which are no frames."""

    def __init__(self, data):
        self.data = data

    def stream(self):
        for at in range(0, len(self.data), 7):
            yield self.data[at : at + 7]

    def close(self):
        pass


def plain(value):
    return value.decode() if isinstance(value, bytes) else value.timestamp()


session = botocore.session.get_session()
operation = session.get_service_model("kinesis").operation_model("SubscribeToShard")
parser = botocore.parsers.create_parser("json")
answer = {
    "status_code": 200,
    "headers": {},
    "context": {"operation_name": operation.name},
    "body": Body(sys.stdin.buffer.read()),
}
try:
    for event in parser.parse(answer, operation.output_shape)["EventStream"]:
        print(json.dumps(event, default=plain))
except EventStreamError as error:
    print(json.dumps(error.response["Error"]))
