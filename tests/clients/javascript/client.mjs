// The AWS SDK for JavaScript v3 through one stream's life: create, write, reshard, read everything
// back, delete.
//
// Everything about the server comes from the environment that AWS's tools read. The last line of
// the output is the report that tests/clients/clients.rs checks.

import { createRequire } from "node:module";

import {
  AddTagsToStreamCommand,
  CreateStreamCommand,
  DecreaseStreamRetentionPeriodCommand,
  DeleteStreamCommand,
  DeregisterStreamConsumerCommand,
  DescribeStreamConsumerCommand,
  DescribeStreamSummaryCommand,
  GetRecordsCommand,
  GetShardIteratorCommand,
  IncreaseStreamRetentionPeriodCommand,
  KinesisClient,
  KinesisServiceException,
  ListShardsCommand,
  ListTagsForStreamCommand,
  MergeShardsCommand,
  PutRecordCommand,
  PutRecordsCommand,
  RegisterStreamConsumerCommand,
  RemoveTagsFromStreamCommand,
  SplitShardCommand,
  SubscribeToShardCommand,
  paginateListStreams,
  waitUntilStreamExists,
  waitUntilStreamNotExists,
} from "@aws-sdk/client-kinesis";
import { NodeHttpHandler } from "@smithy/node-http-handler";

const STREAM = process.env.STREAM;
const SECOND = `${STREAM}-second`;
const KEYS = 50;

// The SDK's own choice for Kinesis is HTTP/2; the other client speaks HTTP/1.1.
const kinesis = new KinesisClient({});
const overHttp1 = new KinesisClient({ requestHandler: new NodeHttpHandler() });
const send = (command) => kinesis.send(command);

const sdk = createRequire(import.meta.url)("@aws-sdk/client-kinesis/package.json").version;
const report = { sdk: `aws-sdk-js ${sdk}`, written: [], errors: {} };

const waitActive = (StreamName) =>
  waitUntilStreamExists({ client: kinesis, maxWaitTime: 30, minDelay: 1, maxDelay: 1 }, { StreamName });

/** Reports the error that a wrong call gets. */
async function expectError(name, command, client = kinesis) {
  try {
    await client.send(command);
  } catch (error) {
    if (!(error instanceof KinesisServiceException)) throw error;
    report.errors[name] = [error.name, error.message];
    return;
  }
  throw new Error(`${name}: the call succeeded`);
}

// --- writing: record n has key n % KEYS, so the n of a key rises

const record = (n) => ({ PartitionKey: `key-${n % KEYS}`, Data: Buffer.from(`${n % KEYS}:${n}:`) });

const note = (entry, answer) =>
  report.written.push([entry.PartitionKey, entry.Data.toString(), answer.ShardId, answer.SequenceNumber]);

async function putOne() {
  const entry = record(report.written.length);
  note(entry, await overHttp1.send(new PutRecordCommand({ StreamName: STREAM, ...entry })));
}

async function putMany(count) {
  const Records = Array.from({ length: count }, (_, n) => record(report.written.length + n));
  const answer = await send(new PutRecordsCommand({ StreamName: STREAM, Records }));
  if (answer.FailedRecordCount !== 0 || answer.Records.length !== count) throw new Error(JSON.stringify(answer));
  Records.forEach((entry, n) => note(entry, answer.Records[n]));
}

// --- reading: a shard after all of its parents

async function listShards() {
  const shards = [];
  let page = await send(new ListShardsCommand({ StreamName: STREAM }));
  shards.push(...page.Shards);
  while (page.NextToken) {
    page = await send(new ListShardsCommand({ NextToken: page.NextToken }));
    shards.push(...page.Shards);
  }
  return shards;
}

/** Reads the shards without parents, then whatever children they say they have. */
async function readAll(readShard) {
  const shards = await listShards();
  const isOpen = (shard) => shard.SequenceNumberRange.EndingSequenceNumber === undefined;
  const open = new Set(shards.filter(isOpen).map((shard) => shard.ShardId));
  const queue = shards.filter((shard) => !shard.ParentShardId).map((shard) => shard.ShardId);
  const done = new Set();
  const records = [];
  while (queue.length > 0) {
    const shard = queue.shift();
    const children = await readShard(shard, open.has(shard), (found) => {
      for (const one of found) {
        records.push([one.PartitionKey, Buffer.from(one.Data).toString(), shard, one.SequenceNumber]);
      }
    });
    done.add(shard);
    const ready = children.filter((child) => child.ParentShards.every((parent) => done.has(parent)));
    queue.push(...ready.map((child) => child.ShardId).filter((child) => !done.has(child)));
  }
  return records;
}

async function iteratorOf(StreamName, ShardId, ShardIteratorType) {
  return (await send(new GetShardIteratorCommand({ StreamName, ShardId, ShardIteratorType }))).ShardIterator;
}

/** Reads a shard to its end, or an open one to its tip; says which shards follow. */
async function pollShard(shard, isOpen, noteRead) {
  let ShardIterator = await iteratorOf(STREAM, shard, "TRIM_HORIZON");
  for (;;) {
    const answer = await send(new GetRecordsCommand({ ShardIterator, Limit: 100 }));
    noteRead(answer.Records);
    if (answer.NextShardIterator === undefined) return answer.ChildShards;
    if (isOpen && answer.MillisBehindLatest === 0) return [];
    ShardIterator = answer.NextShardIterator;
  }
}

const subscription = (ConsumerARN, ShardId) =>
  new SubscribeToShardCommand({ ConsumerARN, ShardId, StartingPosition: { Type: "TRIM_HORIZON" } });

const subscribe = async (client, consumer, shard) => (await client.send(subscription(consumer, shard))).EventStream;

// One that ends before it is read is lost with its connection, so reading begins at once.
async function readToItsEnd(events) {
  const read = [];
  for await (const event of events) read.push(event);
  return read;
}

const fanOutShard = (client, consumer, subscriptions) => async (shard, isOpen, noteRead) => {
  const events = (await subscriptions.get(shard)) ?? (await subscribe(client, consumer, shard));
  let children;
  for await (const { SubscribeToShardEvent: event } of events) {
    noteRead(event.Records);
    if (event.ContinuationSequenceNumber === undefined) children = event.ChildShards;
    if (isOpen && event.MillisBehindLatest === 0) return [];
  }
  if (!children) throw new Error(`${shard}: the subscription ended without a word`);
  return children;
};

const streamSummary = async (StreamName) =>
  (await send(new DescribeStreamSummaryCommand({ StreamName }))).StreamDescriptionSummary;

async function registerConsumer(ConsumerName) {
  const { StreamARN } = await streamSummary(STREAM);
  const { Consumer } = await send(new RegisterStreamConsumerCommand({ StreamARN, ConsumerName }));
  const describe = new DescribeStreamConsumerCommand({ ConsumerARN: Consumer.ConsumerARN });
  while ((await send(describe)).ConsumerDescription.ConsumerStatus !== "ACTIVE");
  return Consumer.ConsumerARN;
}

// --- the story

await send(new CreateStreamCommand({ StreamName: STREAM, ShardCount: 2 }));
await waitActive(STREAM);
await expectError("duplicate_create", new CreateStreamCommand({ StreamName: STREAM, ShardCount: 2 }));
for (let n = 0; n < 3; n++) await putOne();
await putMany(500);

const consumers = [await registerConsumer("reader"), await registerConsumer("reader-http1")];
const [left, right] = await listShards();
const toBeSplit = readToItsEnd(await subscribe(kinesis, consumers[0], left.ShardId));
await expectError("second_subscription", subscription(consumers[0], left.ShardId));

// The left shard is split while it is subscribed to, then its upper half merged with the right one.
const { StartingHashKey, EndingHashKey } = left.HashKeyRange;
const NewStartingHashKey = ((BigInt(StartingHashKey) + BigInt(EndingHashKey) + 1n) / 2n).toString();
const split = { StreamName: STREAM, ShardToSplit: left.ShardId, NewStartingHashKey };
await expectError("bad_split_key", new SplitShardCommand({ ...split, NewStartingHashKey: "0" }));
await send(new SplitShardCommand(split));
await waitActive(STREAM);
await expectError("closed_shard", new SplitShardCommand(split));
await putMany(100);
const [lower, upper] = (await listShards()).filter((shard) => shard.ParentShardId === left.ShardId);
const merge = { StreamName: STREAM, AdjacentShardToMerge: right.ShardId };
await expectError("not_adjacent", new MergeShardsCommand({ ...merge, ShardToMerge: lower.ShardId }));
await send(new MergeShardsCommand({ ...merge, ShardToMerge: upper.ShardId }));
await waitActive(STREAM);
await putMany(100);

report.polled = await readAll(pollShard);
report.fanned_out = await readAll(fanOutShard(kinesis, consumers[0], new Map([[left.ShardId, toBeSplit]])));
report.fanned_out_http1 = await readAll(fanOutShard(overHttp1, consumers[1], new Map()));
const parents = (shard) => [shard.ParentShardId, shard.AdjacentParentShardId].filter(Boolean);
report.lineage = Object.fromEntries((await listShards()).map((shard) => [shard.ShardId, parents(shard)]));
for (const ConsumerARN of consumers) await send(new DeregisterStreamConsumerCommand({ ConsumerARN }));

// Settings.
await send(new IncreaseStreamRetentionPeriodCommand({ StreamName: STREAM, RetentionPeriodHours: 48 }));
await send(new DecreaseStreamRetentionPeriodCommand({ StreamName: STREAM, RetentionPeriodHours: 36 }));
report.retention_hours = (await streamSummary(STREAM)).RetentionPeriodHours;
await send(new AddTagsToStreamCommand({ StreamName: STREAM, Tags: { team: "river", phase: "draft" } }));
await send(new RemoveTagsFromStreamCommand({ StreamName: STREAM, TagKeys: ["phase"] }));
const { Tags } = await send(new ListTagsForStreamCommand({ StreamName: STREAM }));
report.tags = Object.fromEntries(Tags.map((tag) => [tag.Key, tag.Value]));

// A second stream: LATEST means the moment of the call, bytes are kept as they are, and it goes.
await send(new CreateStreamCommand({ StreamName: SECOND, ShardCount: 1 }));
await waitActive(SECOND);
report.listed = [];
for await (const page of paginateListStreams({ client: kinesis }, {})) {
  report.listed.push(...page.StreamNames.filter((name) => name.startsWith(STREAM)));
}
const latest = await iteratorOf(SECOND, "shardId-000000000000", "LATEST");
const Data = Uint8Array.from({ length: 256 }, (_, n) => n);
await send(new PutRecordCommand({ StreamName: SECOND, PartitionKey: "ключ", Data }));
const echo = await send(new GetRecordsCommand({ ShardIterator: latest }));
report.echo = echo.Records.map((one) => [one.PartitionKey, Buffer.from(one.Data).toString("hex")]);
await send(new DeleteStreamCommand({ StreamName: SECOND }));
const gone = { client: kinesis, maxWaitTime: 30, minDelay: 1, maxDelay: 1 };
await waitUntilStreamNotExists(gone, { StreamName: SECOND });

// Wrong calls.
const many = Array.from({ length: 501 }, (_, n) => record(n));
const large = { StreamName: STREAM, PartitionKey: "k", Data: new Uint8Array(1024 * 1024) };
await expectError("unknown_stream", new DescribeStreamSummaryCommand({ StreamName: SECOND }));
await expectError("bad_iterator", new GetRecordsCommand({ ShardIterator: "nonsense" }));
await expectError("too_many_records", new PutRecordsCommand({ StreamName: STREAM, Records: many }));
await expectError("oversize_record", new PutRecordCommand(large));
await expectError("validation", new CreateStreamCommand({ StreamName: "not/a/name", ShardCount: 1 }), overHttp1);

// Over HTTP/2 the SDK keeps a subscription that its reader has left, and with it the process.
process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit());
