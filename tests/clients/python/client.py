"""boto3 through one stream's life: create, write, reshard, read everything back, delete.

Everything about the server comes from the environment that AWS's tools read. The last line of
the output is the report that tests/clients/clients.rs checks.
"""

import json
import os
from contextlib import closing

import boto3
from botocore.exceptions import ClientError

STREAM = os.environ["STREAM"]
SECOND = f"{STREAM}-second"
KEYS = 50
QUICK = {"Delay": 1, "MaxAttempts": 30}

kinesis = boto3.client("kinesis")
report = {"sdk": f"boto3 {boto3.__version__}", "written": [], "errors": {}}


def wait_active(stream):
    kinesis.get_waiter("stream_exists").wait(StreamName=stream, WaiterConfig=QUICK)


def expect_error(name, call, **arguments):
    """Reports the error that a wrong call gets."""
    try:
        call(**arguments)
    except ClientError as error:
        report["errors"][name] = [error.response["Error"]["Code"], error.response["Error"]["Message"]]
    else:
        raise SystemExit(f"{name}: the call succeeded")


# --- writing: record n has key n % KEYS, so the n of a key rise


def record(n):
    return {"PartitionKey": f"key-{n % KEYS}", "Data": f"{n % KEYS}:{n}:".encode()}


def note(entry, answer):
    report["written"].append(
        [entry["PartitionKey"], entry["Data"].decode(), answer["ShardId"], answer["SequenceNumber"]]
    )


def put_one():
    entry = record(len(report["written"]))
    note(entry, kinesis.put_record(StreamName=STREAM, **entry))


def put_many(count):
    first = len(report["written"])
    entries = [record(n) for n in range(first, first + count)]
    answer = kinesis.put_records(StreamName=STREAM, Records=entries)
    assert answer["FailedRecordCount"] == 0, answer
    for entry, result in zip(entries, answer["Records"], strict=True):
        note(entry, result)


# --- reading: a shard after all of its parents


def list_shards():
    pages = kinesis.get_paginator("list_shards").paginate(StreamName=STREAM)
    return [shard for page in pages for shard in page["Shards"]]


def is_open(shard):
    return "EndingSequenceNumber" not in shard["SequenceNumberRange"]


def read_all(read_shard):
    """Reads the shards without parents, then whatever children they say they have."""
    shards = list_shards()
    open_shards = {shard["ShardId"] for shard in shards if is_open(shard)}
    queue = [shard["ShardId"] for shard in shards if "ParentShardId" not in shard]
    done, records = set(), []
    while queue:
        shard_id = queue.pop(0)
        for child in read_shard(shard_id, shard_id in open_shards, records):
            if done | {shard_id} >= set(child["ParentShards"]) and child["ShardId"] not in queue:
                queue.append(child["ShardId"])
        done.add(shard_id)
    return records


def note_read(records, shard_id, found):
    for one in found:
        records.append([one["PartitionKey"], one["Data"].decode(), shard_id, one["SequenceNumber"]])


def poll_shard(shard_id, is_open, records):
    """Reads a shard to its end, or an open one to its tip; says which shards follow."""
    iterator = kinesis.get_shard_iterator(
        StreamName=STREAM, ShardId=shard_id, ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    while True:
        answer = kinesis.get_records(ShardIterator=iterator, Limit=100)
        note_read(records, shard_id, answer["Records"])
        if "NextShardIterator" not in answer:
            return answer["ChildShards"]
        if is_open and answer["MillisBehindLatest"] == 0:
            return []
        iterator = answer["NextShardIterator"]


def subscribe(consumer, shard_id):
    return kinesis.subscribe_to_shard(
        ConsumerARN=consumer, ShardId=shard_id, StartingPosition={"Type": "TRIM_HORIZON"}
    )["EventStream"]


def fan_out_shard(consumer, subscriptions):
    def read(shard_id, is_open, records):
        with closing(subscriptions.pop(shard_id, None) or subscribe(consumer, shard_id)) as events:
            for event in events:
                event = event["SubscribeToShardEvent"]
                note_read(records, shard_id, event["Records"])
                if "ContinuationSequenceNumber" not in event:
                    return event["ChildShards"]
                if is_open and event["MillisBehindLatest"] == 0:
                    return []
        raise SystemExit(f"{shard_id}: the subscription ended without a word")

    return read


# --- the story

kinesis.create_stream(StreamName=STREAM, ShardCount=2)
wait_active(STREAM)
expect_error("duplicate_create", kinesis.create_stream, StreamName=STREAM, ShardCount=2)
for _ in range(3):
    put_one()
put_many(500)

consumer = kinesis.register_stream_consumer(
    StreamARN=kinesis.describe_stream_summary(StreamName=STREAM)["StreamDescriptionSummary"]["StreamARN"],
    ConsumerName="reader",
)["Consumer"]["ConsumerARN"]
while (
    kinesis.describe_stream_consumer(ConsumerARN=consumer)["ConsumerDescription"]["ConsumerStatus"] != "ACTIVE"
):
    pass
left, right = list_shards()
subscriptions = {left["ShardId"]: subscribe(consumer, left["ShardId"])}
expect_error("second_subscription", subscribe, consumer=consumer, shard_id=left["ShardId"])

# The left shard is split while it is subscribed to, then its upper half merged with the right one.
low, high = (int(left["HashKeyRange"][end]) for end in ("StartingHashKey", "EndingHashKey"))
split = {"StreamName": STREAM, "ShardToSplit": left["ShardId"]}
expect_error("bad_split_key", kinesis.split_shard, **split, NewStartingHashKey="0")
kinesis.split_shard(**split, NewStartingHashKey=str((low + high + 1) // 2))
wait_active(STREAM)
expect_error("closed_shard", kinesis.split_shard, **split, NewStartingHashKey=str((low + high + 1) // 2))
put_many(100)
lower, upper = [shard["ShardId"] for shard in list_shards() if shard.get("ParentShardId") == left["ShardId"]]
merge = {"StreamName": STREAM, "AdjacentShardToMerge": right["ShardId"]}
expect_error("not_adjacent", kinesis.merge_shards, **merge, ShardToMerge=lower)
kinesis.merge_shards(**merge, ShardToMerge=upper)
wait_active(STREAM)
put_many(100)

report["polled"] = read_all(poll_shard)
report["fanned_out"] = read_all(fan_out_shard(consumer, subscriptions))
report["lineage"] = {
    shard["ShardId"]: [shard[key] for key in ("ParentShardId", "AdjacentParentShardId") if key in shard]
    for shard in list_shards()
}
kinesis.deregister_stream_consumer(ConsumerARN=consumer)

# Settings.
kinesis.increase_stream_retention_period(StreamName=STREAM, RetentionPeriodHours=48)
kinesis.decrease_stream_retention_period(StreamName=STREAM, RetentionPeriodHours=36)
report["retention_hours"] = kinesis.describe_stream_summary(StreamName=STREAM)["StreamDescriptionSummary"][
    "RetentionPeriodHours"
]
kinesis.add_tags_to_stream(StreamName=STREAM, Tags={"team": "river", "phase": "draft"})
kinesis.remove_tags_from_stream(StreamName=STREAM, TagKeys=["phase"])
report["tags"] = {tag["Key"]: tag["Value"] for tag in kinesis.list_tags_for_stream(StreamName=STREAM)["Tags"]}

# A second stream: LATEST means the moment of the call, bytes are kept as they are, and it goes.
kinesis.create_stream(StreamName=SECOND, ShardCount=1)
wait_active(SECOND)
pages = kinesis.get_paginator("list_streams").paginate()
report["listed"] = [name for page in pages for name in page["StreamNames"] if name.startswith(STREAM)]
latest = kinesis.get_shard_iterator(
    StreamName=SECOND, ShardId="shardId-000000000000", ShardIteratorType="LATEST"
)["ShardIterator"]
kinesis.put_record(StreamName=SECOND, PartitionKey="ключ", Data=bytes(range(256)))
echo = kinesis.get_records(ShardIterator=latest)["Records"]
report["echo"] = [[one["PartitionKey"], one["Data"].hex()] for one in echo]
kinesis.delete_stream(StreamName=SECOND)
kinesis.get_waiter("stream_not_exists").wait(StreamName=SECOND, WaiterConfig=QUICK)

# Wrong calls.
expect_error("unknown_stream", kinesis.describe_stream_summary, StreamName=SECOND)
expect_error("bad_iterator", kinesis.get_records, ShardIterator="nonsense")
expect_error("too_many_records", kinesis.put_records, StreamName=STREAM, Records=[record(n) for n in range(501)])
expect_error(
    "oversize_record", kinesis.put_record, StreamName=STREAM, PartitionKey="k", Data=b"x" * (1024 * 1024)
)
expect_error("validation", kinesis.create_stream, StreamName="not/a/name", ShardCount=1)

print(json.dumps(report))
