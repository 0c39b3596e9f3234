"""Prints requests that botocore has signed, one JSON object a line, as they go over the wire."""

import base64
import datetime
import hashlib
import json
import random
from urllib.parse import quote, urlsplit

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

HEADER_REQUESTS = 1400
QUERY_REQUESTS = 600

rng = random.Random(20131202)
HOSTS = [
    "http://localhost:4567",
    "http://127.0.0.1:80",
    "http://[::1]:4567",
    "https://kinesis.eu-west-1.amazonaws.com",
    "https://Kinesis.Example.ORG:8443",
]
REGIONS = ["us-east-1", "eu-west-1", "ap-southeast-2", "cn-north-1", "us-gov-west-1", "local"]
ODD = "abcXYZ019-_.~ !\"#$%&'()*+,/:;<=>?@[]^`{|}éßж日本😀"
IN_PATHS = "abcXYZ019-_.~!$&'()*+,:;=@"


def text(alphabet, low, high):
    return "".join(rng.choice(alphabet) for _ in range(rng.randint(low, high)))


def path():
    def segment():
        kind = rng.random()
        if kind < 0.3:
            return rng.choice(["", ".", "..", "...", "~"])
        if kind < 0.6:
            return quote(text(ODD, 1, 8), safe="")
        return text(IN_PATHS, 1, 8)

    if rng.random() < 0.5:
        return "/"
    return "/" + "/".join(segment() for _ in range(rng.randint(1, 5)))


def spaced():
    """A header value with space before, within and after it, but none that is not ASCII."""
    words = [text(ODD.replace(" ", ""), 1, 8) for _ in range(rng.randint(0, 4))]
    gap = lambda: rng.choice([" ", "  ", "\t", " \t  "])
    return rng.choice(["", gap()]) + "".join(word + gap() for word in words) + rng.choice(["", "x"])


def body():
    kind = rng.random()
    if kind < 0.2:
        return b""
    if kind < 0.6:
        return json.dumps({"StreamName": text(ODD, 1, 20)}).encode()
    return rng.randbytes(rng.randint(1, 200))


def add_headers(request, data):
    headers = request.headers
    headers["Content-Type"] = rng.choice(["application/x-amz-json-1.1", "application/x-amz-cbor-1.1"])
    headers["X-Amz-Target"] = "Kinesis_20131202." + rng.choice(["PutRecord", "ListStreams"])
    if rng.random() < 0.5:
        headers["User-Agent"] = "Boto3/1.0 " + text(ODD, 0, 10)
    if rng.random() < 0.2:
        headers["X-Amzn-Trace-Id"] = "Root=1"
    if rng.random() < 0.3:
        headers["amz-sdk-invocation-id"] = text("0123456789abcdef-", 36, 36)
    for at in range(rng.randint(0, 3)):
        name = rng.choice(["X-Amz-Meta-", "x-custom-", "Accept"]) + str(at)
        for _ in range(rng.choice([1, 1, 1, 2, 3])):
            headers.add_header(name, spaced())
    if rng.random() < 0.1:
        headers["X-Amz-Content-SHA256"] = hashlib.sha256(data).hexdigest()
    if rng.random() < 0.05:
        headers["Date"] = "botocore replaces this"


def parameters():
    return [(text(ODD, 1, 5), text(ODD, 0, 8)) for _ in range(rng.randint(1, 4))]


def in_url(pairs):
    quoted = [(quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in pairs]
    return "&".join(n if not v and rng.random() < 0.5 else f"{n}={v}" for n, v in quoted)


def line(kind, request, data, credentials, region, now):
    wire = request.prepare()
    url = urlsplit(wire.url)
    headers = [(name, value) for name, value in request.headers.items()]
    if "Host" not in request.headers:
        headers.insert(0, ("Host", botocore.auth._host_from_url(wire.url)))
    headers.append(("Content-Length", str(len(data))))
    encoded = lambda value: base64.b64encode(value).decode()
    print(
        json.dumps(
            {
                "kind": kind,
                "method": request.method,
                "path": url.path,
                "query": url.query,
                "headers": [[name, encoded(value.encode())] for name, value in headers],
                "body": encoded(data),
                "access_key": credentials.access_key,
                "secret": credentials.secret_key,
                "token": credentials.token,
                "region": region,
                "now_secs": int(now.timestamp()),
            }
        )
    )


def make(kind):
    seconds = rng.randint(1_300_000_000, 4_000_000_000)
    now = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    botocore.auth.get_current_datetime = lambda: now
    token = text("abcXYZ019+/=", 20, 200) if rng.random() < 0.3 else None
    credentials = Credentials("AKIA" + text("ABCXYZ0189", 16, 16), text("abcXYZ019+/", 40, 40), token)
    region = rng.choice(REGIONS)
    data = body() if kind == "header" else b""
    url = rng.choice(HOSTS) + path()
    request = AWSRequest(method=rng.choice(["POST", "POST", "POST", "GET", "PUT"]), data=data)
    where = rng.random()
    if where < 0.3:
        url += "?" + in_url(parameters())
    elif where < 0.6:
        request.params = dict(parameters())
    request.url = url
    add_headers(request, data)
    if kind == "header":
        signer = botocore.auth.SigV4Auth(credentials, "kinesis", region)
    else:
        signer = botocore.auth.SigV4QueryAuth(credentials, "kinesis", region, expires=rng.randint(1, 604800))
    signer.add_auth(request)
    line(kind, request, data, credentials, region, now)


for _ in range(HEADER_REQUESTS):
    make("header")
for _ in range(QUERY_REQUESTS):
    make("query")
