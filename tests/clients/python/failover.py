"""boto3 with its default retries writes and reads without pause until its input ends.

Any error that reaches this program ends it. Asked by an empty line, it tells how much was written
and read; its last line of output is the report that tests/clients/failover.rs checks. Beside what
was written and read it tells what the program was spared: attempts that the SDK made again, and
answers that were failures of the server.
"""

import json
import os
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

import boto3

STREAM = os.environ["STREAM"]
KEYS = 50
BATCH = 20

kinesis = boto3.client("kinesis")
input_ended, writer_ended = threading.Event(), threading.Event()
written, polled = [], []
longest_ms = {"list_shards": 0, "get_shard_iterator": 0, "put_records": 0, "get_records": 0}
attempts, calls, failures = [], [], []


def note_answer(response_dict, **_):
    if response_dict and response_dict["status_code"] >= 500:
        failures.append(f"{response_dict['status_code']}: {response_dict['body'][:300]}")


kinesis.meta.events.register("before-send.kinesis", lambda **_: attempts.append(None))
kinesis.meta.events.register("response-received.kinesis", note_answer)


def timed(name, call, **arguments):
    begun = time.monotonic()
    calls.append(name)
    answer = call(**arguments)
    longest_ms[name] = max(longest_ms[name], round((time.monotonic() - begun) * 1000))
    return answer


def write():
    """Record n has key n % KEYS, so the n of a key rises."""
    try:
        while not input_ended.is_set():
            numbers = range(len(written), len(written) + BATCH)
            entries = [{"PartitionKey": f"key-{n % KEYS}", "Data": f"{n % KEYS}:{n}:".encode()} for n in numbers]
            answer = timed("put_records", kinesis.put_records, StreamName=STREAM, Records=entries)
            if answer["FailedRecordCount"] != 0:
                raise RuntimeError(f"PutRecords: {answer}")
            for entry, result in zip(entries, answer["Records"], strict=True):
                place = [result["ShardId"], result["SequenceNumber"]]
                written.append([entry["PartitionKey"], entry["Data"].decode(), *place])
    finally:
        writer_ended.set()


def read():
    """Reads all shards in turn, until each has nothing more after the last write."""
    shards = [shard["ShardId"] for shard in timed("list_shards", kinesis.list_shards, StreamName=STREAM)["Shards"]]
    start = {"StreamName": STREAM, "ShardIteratorType": "TRIM_HORIZON"}
    first = {shard: timed("get_shard_iterator", kinesis.get_shard_iterator, ShardId=shard, **start) for shard in shards}
    iterators = {shard: answer["ShardIterator"] for shard, answer in first.items()}
    while True:
        all_is_written = writer_ended.is_set()
        behind = 0
        for shard, iterator in iterators.items():
            answer = timed("get_records", kinesis.get_records, ShardIterator=iterator)
            for one in answer["Records"]:
                polled.append([one["PartitionKey"], one["Data"].decode(), shard, one["SequenceNumber"]])
            iterators[shard] = answer["NextShardIterator"]
            behind = max(behind, answer["MillisBehindLatest"])
        if all_is_written and behind == 0:
            return


def stop_on_failure(task):
    if task.exception():
        traceback.print_exception(task.exception())
        sys.stderr.flush()
        os._exit(1)


with ThreadPoolExecutor() as pool:
    for task in [pool.submit(write), pool.submit(read)]:
        task.add_done_callback(stop_on_failure)
    for _ in sys.stdin:
        print(json.dumps([len(written), len(polled)]), flush=True)
    input_ended.set()
spared = {"retried": len(attempts) - len(calls), "failures": failures}
print(json.dumps({"written": written, "polled": polled, "longest_ms": longest_ms, **spared}))
