import java.math.BigInteger;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CompletionException;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import software.amazon.awssdk.awscore.exception.AwsServiceException;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.core.util.VersionInfo;
import software.amazon.awssdk.retries.api.BackoffStrategy;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.awssdk.services.kinesis.model.ConsumerStatus;
import software.amazon.awssdk.services.kinesis.model.Shard;
import software.amazon.awssdk.services.kinesis.model.ShardIteratorType;
import software.amazon.awssdk.services.kinesis.model.StreamDescriptionSummary;
import software.amazon.awssdk.services.kinesis.waiters.KinesisAsyncWaiter;

/**
 * The AWS SDK for Java v2 (CBOR over HTTP/2) through one stream's life: create, write, reshard,
 * read everything back, delete.
 *
 * <p>Everything about the server comes from the environment that AWS's tools read. The last line
 * of the output is the report that tests/clients/clients.rs checks.
 */
public final class Client {
    private static final String STREAM = System.getenv("STREAM");
    private static final String SECOND = STREAM + "-second";

    private final KinesisAsyncClient kinesis = KinesisAsyncClient.create();
    private final KinesisAsyncWaiter waiter = KinesisAsyncWaiter.builder()
        .client(kinesis)
        .overrideConfiguration(c -> c
            .maxAttempts(30)
            .backoffStrategyV2(BackoffStrategy.fixedDelayWithoutJitter(Duration.ofSeconds(1))))
        .build();
    private final Records records = new Records(kinesis, STREAM);
    private final Map<String, List<String>> errors = new TreeMap<>();
    private final Map<String, Object> report = new TreeMap<>();

    public static void main(String[] arguments) throws Exception {
        var client = new Client();
        client.run();
        client.kinesis.close();
        System.out.println(json(client.report));
    }

    private void run() throws Exception {
        report.put("sdk", "aws-sdk-java-v2 " + VersionInfo.SDK_VERSION);
        report.put("written", records.written);
        report.put("errors", errors);
        kinesis.createStream(r -> r.streamName(STREAM).shardCount(2)).join();
        waitActive(STREAM);
        expectError("duplicate_create", () -> kinesis.createStream(r -> r.streamName(STREAM).shardCount(2)).join());
        for (int n = 0; n < 3; n++) records.putOne();
        records.putMany(500);

        String consumer = registerConsumer();
        List<Shard> shards = records.listShards();
        String left = shards.get(0).shardId();
        var subscription = records.new Events(consumer, left);
        expectError("second_subscription", () -> records.new Events(consumer, left));
        reshard(shards.get(0), shards.get(1));
        report.put("polled", records.readAll(records::poll));
        report.put("fanned_out", records.readAll(records.fanOut(consumer, Map.of(left, subscription))));
        report.put("lineage", Records.lineage(records.listShards()));
        kinesis.deregisterStreamConsumer(r -> r.consumerARN(consumer)).join();

        settings();
        secondStream();
        wrongCalls();
    }

    private void waitActive(String stream) {
        waiter.waitUntilStreamExists(r -> r.streamName(stream)).join();
    }

    /** Reports the error that a wrong call gets. */
    private void expectError(String name, Supplier<?> call) {
        try {
            call.get();
        } catch (CompletionException failed) {
            if (!(failed.getCause() instanceof AwsServiceException error)) throw failed;
            errors.put(name, List.of(error.awsErrorDetails().errorCode(), error.awsErrorDetails().errorMessage()));
            return;
        }
        throw new IllegalStateException(name + ": the call succeeded");
    }

    private StreamDescriptionSummary summary(String stream) {
        return kinesis.describeStreamSummary(r -> r.streamName(stream)).join().streamDescriptionSummary();
    }

    private String registerConsumer() {
        String stream = summary(STREAM).streamARN();
        String consumer = kinesis.registerStreamConsumer(r -> r.streamARN(stream).consumerName("reader"))
            .join().consumer().consumerARN();
        ConsumerStatus status;
        do {
            status = kinesis.describeStreamConsumer(r -> r.consumerARN(consumer))
                .join().consumerDescription().consumerStatus();
        } while (status != ConsumerStatus.ACTIVE);
        return consumer;
    }

    /** Splits the left shard while it is subscribed to, then merges its upper half with the right one. */
    private void reshard(Shard left, Shard right) {
        String middle = new BigInteger(left.hashKeyRange().startingHashKey())
            .add(new BigInteger(left.hashKeyRange().endingHashKey())).add(BigInteger.ONE).shiftRight(1).toString();
        expectError("bad_split_key", () -> split(left, "0"));
        split(left, middle);
        waitActive(STREAM);
        expectError("closed_shard", () -> split(left, middle));
        records.putMany(100);
        List<String> halves = records.listShards().stream()
            .filter(shard -> left.shardId().equals(shard.parentShardId())).map(Shard::shardId).toList();
        expectError("not_adjacent", () -> merge(halves.get(0), right));
        merge(halves.get(1), right);
        waitActive(STREAM);
        records.putMany(100);
    }

    private Object split(Shard shard, String at) {
        return kinesis.splitShard(r -> r
            .streamName(STREAM).shardToSplit(shard.shardId()).newStartingHashKey(at)).join();
    }

    private Object merge(String shard, Shard adjacent) {
        return kinesis.mergeShards(r -> r
            .streamName(STREAM).shardToMerge(shard).adjacentShardToMerge(adjacent.shardId())).join();
    }

    private void settings() {
        kinesis.increaseStreamRetentionPeriod(r -> r.streamName(STREAM).retentionPeriodHours(48)).join();
        kinesis.decreaseStreamRetentionPeriod(r -> r.streamName(STREAM).retentionPeriodHours(36)).join();
        report.put("retention_hours", summary(STREAM).retentionPeriodHours());
        kinesis.addTagsToStream(r -> r.streamName(STREAM).tags(Map.of("team", "river", "phase", "draft"))).join();
        kinesis.removeTagsFromStream(r -> r.streamName(STREAM).tagKeys("phase")).join();
        report.put("tags", kinesis.listTagsForStream(r -> r.streamName(STREAM)).join().tags().stream()
            .collect(Collectors.toMap(tag -> tag.key(), tag -> tag.value())));
    }

    /** LATEST means the moment of the call, bytes are kept as they are, and a stream goes. */
    private void secondStream() {
        kinesis.createStream(r -> r.streamName(SECOND).shardCount(1)).join();
        waitActive(SECOND);
        List<String> listed = new ArrayList<>();
        kinesis.listStreamsPaginator().streamNames()
            .filter(name -> name.startsWith(STREAM)).subscribe(listed::add).join();
        report.put("listed", listed);
        String latest = kinesis.getShardIterator(r -> r
            .streamName(SECOND).shardId("shardId-000000000000").shardIteratorType(ShardIteratorType.LATEST))
            .join().shardIterator();
        byte[] data = new byte[256];
        for (int n = 0; n < data.length; n++) data[n] = (byte) n;
        kinesis.putRecord(r -> r
            .streamName(SECOND).partitionKey("ключ").data(SdkBytes.fromByteArray(data))).join();
        report.put("echo", kinesis.getRecords(r -> r.shardIterator(latest)).join().records().stream()
            .map(one -> List.of(one.partitionKey(), HexFormat.of().formatHex(one.data().asByteArray()))).toList());
        kinesis.deleteStream(r -> r.streamName(SECOND)).join();
        waiter.waitUntilStreamNotExists(r -> r.streamName(SECOND)).join();
    }

    private void wrongCalls() {
        expectError("unknown_stream", () -> summary(SECOND));
        expectError("bad_iterator", () -> kinesis.getRecords(r -> r.shardIterator("nonsense")).join());
        var many = IntStream.range(0, 501).mapToObj(Records::record).toList();
        expectError("too_many_records", () -> kinesis.putRecords(r -> r.streamName(STREAM).records(many)).join());
        var large = SdkBytes.fromByteArray(new byte[1024 * 1024]);
        expectError("oversize_record", () -> kinesis.putRecord(r -> r
            .streamName(STREAM).partitionKey("k").data(large)).join());
        expectError("validation", () -> kinesis.createStream(r -> r.streamName("not/a/name").shardCount(1)).join());
    }

    private static String json(Object value) {
        if (value instanceof Map<?, ?> map) {
            return map.entrySet().stream().map(entry -> json(entry.getKey()) + ":" + json(entry.getValue()))
                .collect(Collectors.joining(",", "{", "}"));
        }
        if (value instanceof List<?> list) {
            return list.stream().map(Client::json).collect(Collectors.joining(",", "[", "]"));
        }
        if (value instanceof Number) return value.toString();
        return "\"" + value.toString().replace("\\", "\\\\").replace("\"", "\\\"").replace("\n", "\\n") + "\"";
    }
}
