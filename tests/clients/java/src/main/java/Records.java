import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedList;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.stream.IntStream;
import org.reactivestreams.Subscriber;
import org.reactivestreams.Subscription;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.core.async.SdkPublisher;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.awssdk.services.kinesis.model.ChildShard;
import software.amazon.awssdk.services.kinesis.model.PutRecordsRequestEntry;
import software.amazon.awssdk.services.kinesis.model.PutRecordsResponse;
import software.amazon.awssdk.services.kinesis.model.Record;
import software.amazon.awssdk.services.kinesis.model.Shard;
import software.amazon.awssdk.services.kinesis.model.ShardIteratorType;
import software.amazon.awssdk.services.kinesis.model.SubscribeToShardEvent;
import software.amazon.awssdk.services.kinesis.model.SubscribeToShardEventStream;
import software.amazon.awssdk.services.kinesis.model.SubscribeToShardResponseHandler;

/** Writes and reads a stream's records; each is noted as key, data, shard and sequence number. */
final class Records {
    private static final int KEYS = 50;

    private final KinesisAsyncClient kinesis;
    private final String stream;
    final List<List<String>> written = new ArrayList<>();

    Records(KinesisAsyncClient kinesis, String stream) {
        this.kinesis = kinesis;
        this.stream = stream;
    }

    /** Record n has key n % KEYS, so the n of a key rises. */
    static PutRecordsRequestEntry record(int n) {
        return PutRecordsRequestEntry.builder()
            .partitionKey("key-" + n % KEYS)
            .data(SdkBytes.fromUtf8String(n % KEYS + ":" + n + ":"))
            .build();
    }

    void putOne() {
        var entry = record(written.size());
        var answer = kinesis.putRecord(r -> r
            .streamName(stream).partitionKey(entry.partitionKey()).data(entry.data())).join();
        note(entry, answer.shardId(), answer.sequenceNumber());
    }

    void putMany(int count) {
        int first = written.size();
        var entries = IntStream.range(first, first + count).mapToObj(Records::record).toList();
        PutRecordsResponse answer = kinesis.putRecords(r -> r.streamName(stream).records(entries)).join();
        if (answer.failedRecordCount() != 0 || answer.records().size() != count) {
            throw new IllegalStateException("PutRecords: " + answer);
        }
        for (int n = 0; n < count; n++) {
            note(entries.get(n), answer.records().get(n).shardId(), answer.records().get(n).sequenceNumber());
        }
    }

    private void note(PutRecordsRequestEntry entry, String shard, String number) {
        written.add(List.of(entry.partitionKey(), entry.data().asUtf8String(), shard, number));
    }

    List<Shard> listShards() {
        List<Shard> shards = new ArrayList<>();
        var page = kinesis.listShards(r -> r.streamName(stream)).join();
        shards.addAll(page.shards());
        while (page.nextToken() != null) {
            String token = page.nextToken();
            page = kinesis.listShards(r -> r.nextToken(token)).join();
            shards.addAll(page.shards());
        }
        return shards;
    }

    /** Reads a shard to its end, or an open one to its tip, and says which shards follow. */
    interface ShardReader {
        List<ChildShard> read(String shard, boolean open, List<List<String>> records) throws Exception;
    }

    /** Reads the shards without parents, then whatever children they say they have. */
    List<List<String>> readAll(ShardReader reader) throws Exception {
        Queue<String> queue = new LinkedList<>();
        Set<String> open = new HashSet<>();
        for (Shard shard : listShards()) {
            if (shard.sequenceNumberRange().endingSequenceNumber() == null) open.add(shard.shardId());
            if (shard.parentShardId() == null) queue.add(shard.shardId());
        }
        Set<String> done = new HashSet<>();
        List<List<String>> records = new ArrayList<>();
        while (!queue.isEmpty()) {
            String shard = queue.remove();
            List<ChildShard> children = reader.read(shard, open.contains(shard), records);
            done.add(shard);
            for (ChildShard child : children) {
                if (done.containsAll(child.parentShards()) && !done.contains(child.shardId())) {
                    queue.add(child.shardId());
                }
            }
        }
        return records;
    }

    private static void noteRead(List<List<String>> records, String shard, List<Record> found) {
        for (Record one : found) {
            records.add(List.of(one.partitionKey(), one.data().asUtf8String(), shard, one.sequenceNumber()));
        }
    }

    List<ChildShard> poll(String shard, boolean open, List<List<String>> records) {
        String next = kinesis.getShardIterator(r -> r
            .streamName(stream).shardId(shard).shardIteratorType(ShardIteratorType.TRIM_HORIZON)).join().shardIterator();
        while (true) {
            String iterator = next;
            var answer = kinesis.getRecords(r -> r.shardIterator(iterator).limit(100)).join();
            noteRead(records, shard, answer.records());
            next = answer.nextShardIterator();
            if (next == null) return answer.childShards();
            if (open && answer.millisBehindLatest() == 0) return List.of();
        }
    }

    /** Reads by fan-out; subscriptions that are open already are used first. */
    ShardReader fanOut(String consumer, Map<String, Events> subscriptions) {
        return (shard, open, records) -> {
            Events events = subscriptions.containsKey(shard) ? subscriptions.get(shard) : new Events(consumer, shard);
            try {
                while (true) {
                    SubscribeToShardEvent event = events.next();
                    noteRead(records, shard, event.records());
                    if (event.continuationSequenceNumber() == null) return event.childShards();
                    if (open && event.millisBehindLatest() == 0) return List.of();
                }
            } finally {
                events.cancel();
            }
        };
    }

    /** The events of one subscription, taken one by one: the next is asked for when one was taken. */
    final class Events implements Subscriber<SubscribeToShardEventStream> {
        private final BlockingQueue<Map<String, SubscribeToShardEvent>> queue = new LinkedBlockingQueue<>();
        private final CompletableFuture<Subscription> subscription = new CompletableFuture<>();
        private final CompletableFuture<Void> call;
        private final String shard;

        Events(String consumer, String shard) {
            this.shard = shard;
            // One that is opened anew after an error would begin with a new subscriber.
            var handler = SubscribeToShardResponseHandler.builder().onEventStream(this::subscribe).build();
            call = kinesis.subscribeToShard(r -> r
                .consumerARN(consumer).shardId(shard)
                .startingPosition(p -> p.type(ShardIteratorType.TRIM_HORIZON)), handler);
            call.whenComplete((done, error) -> {
                if (error != null) subscription.completeExceptionally(error);
                queue.add(Map.of());
            });
            subscription.join();
        }

        private void subscribe(SdkPublisher<SubscribeToShardEventStream> publisher) {
            publisher.subscribe(this);
        }

        SubscribeToShardEvent next() throws Exception {
            subscription.join().request(1);
            var taken = queue.take();
            if (taken.isEmpty()) {
                call.join();
                throw new IllegalStateException(shard + ": the subscription ended without a word");
            }
            return taken.get("event");
        }

        void cancel() {
            subscription.join().cancel();
        }

        @Override
        public void onSubscribe(Subscription opened) {
            subscription.complete(opened);
        }

        @Override
        public void onNext(SubscribeToShardEventStream event) {
            queue.add(Map.of("event", (SubscribeToShardEvent) event));
        }

        @Override
        public void onError(Throwable error) {
            subscription.completeExceptionally(error);
        }

        @Override
        public void onComplete() {
            queue.add(Map.of());
        }
    }

    static Map<String, List<String>> lineage(List<Shard> shards) {
        Map<String, List<String>> lineage = new HashMap<>();
        for (Shard shard : shards) {
            List<String> parents = new ArrayList<>();
            if (shard.parentShardId() != null) parents.add(shard.parentShardId());
            if (shard.adjacentParentShardId() != null) parents.add(shard.adjacentParentShardId());
            lineage.put(shard.shardId(), parents);
        }
        return lineage;
    }
}
