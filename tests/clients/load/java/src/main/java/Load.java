import java.net.URI;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.Scanner;
import java.util.concurrent.CompletionException;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.IntStream;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.core.util.VersionInfo;
import software.amazon.awssdk.http.Protocol;
import software.amazon.awssdk.http.nio.netty.NettyNioAsyncHttpClient;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.awssdk.services.kinesis.model.PutRecordsRequestEntry;
import software.amazon.awssdk.services.kinesis.model.PutRecordsResultEntry;

/**
 * The AWS SDK for Java 2 (its asynchronous client) as a load: as many callers as told, each with
 * one put in flight.
 *
 * <p>What it is told and what it answers: ../../../../../README.md. Data is made before anything
 * is measured; what is not acknowledged at the end of a measurement is waited for.
 */
public final class Load {
    /** Bytes of data made in advance, at most. */
    private static final int POOL_BYTES_MAX = 64 * 1024 * 1024;

    private final String stream = System.getenv("LOAD_STREAM");
    private final int callers = number("LOAD_CALLERS");
    private final int records = number("LOAD_RECORDS");
    private final int recordBytes = number("LOAD_RECORD_BYTES");
    private final Duration warmUp = Duration.ofMillis(number("LOAD_WARM_UP_MS"));
    private final Duration duration = Duration.ofMillis(number("LOAD_DURATION_MS"));
    private final Sent sent = new Sent();
    private final List<KinesisAsyncClient> clients = new ArrayList<>();
    private final List<List<PutRecordsRequestEntry>> requests = new ArrayList<>();

    public static void main(String[] arguments) throws Exception {
        var load = new Load();
        load.prepare();
        System.out.println("{\"sdk\":\"aws-sdk-java-v2 " + VersionInfo.SDK_VERSION + "\",\"content_type\":\""
            + load.sent.contentType() + "\",\"http\":\"HTTP/2\"}");
        var input = new Scanner(System.in);
        while (input.hasNextLine()) {
            input.nextLine();
            System.out.println(load.measure());
        }
        load.clients.forEach(KinesisAsyncClient::close);
    }

    private void prepare() {
        for (String endpoint : System.getenv("LOAD_ENDPOINTS").split(",")) {
            clients.add(KinesisAsyncClient.builder()
                .endpointOverride(URI.create(endpoint))
                .httpClientBuilder(NettyNioAsyncHttpClient.builder().protocol(Protocol.HTTP2).maxConcurrency(callers))
                .overrideConfiguration(c -> c.addExecutionInterceptor(sent))
                .build());
        }
        clients.forEach(client -> client.describeStreamSummary(r -> r.streamName(stream)).join());
        var random = new Random();
        int count = Math.max(1, Math.min(4_096, POOL_BYTES_MAX / Math.max(1, records * recordBytes)));
        for (int nth = 0; nth < count; nth++) {
            requests.add(IntStream.range(0, records).mapToObj(r -> record(random)).toList());
        }
    }

    private PutRecordsRequestEntry record(Random random) {
        byte[] data = new byte[recordBytes];
        random.nextBytes(data);
        var key = String.format("%016x", random.nextLong());
        return PutRecordsRequestEntry.builder().partitionKey(key).data(SdkBytes.fromByteArray(data)).build();
    }

    /** One measurement; what was counted. */
    private String measure() throws Exception {
        long from = System.nanoTime() + warmUp.toNanos();
        var counts = new Counts(from, from + duration.toNanos());
        long before = sent.attempts();
        long made = 0;
        var threads = Executors.newFixedThreadPool(callers);
        List<Future<Long>> running = new ArrayList<>();
        for (int caller = 0; caller < callers; caller++) {
            int first = caller;
            running.add(threads.submit(() -> call(first, counts)));
        }
        for (var caller : running) made += caller.get();
        threads.shutdown();
        return counts.tell(sent.attempts() - before - made);
    }

    /** Puts until the measured time is over; how many requests that were. */
    private long call(int caller, Counts counts) {
        var client = clients.get(caller % clients.size());
        long made = 0;
        for (int nth = caller; System.nanoTime() < counts.until; nth += callers) {
            long begun = System.nanoTime();
            try {
                counts.done(begun, (long) records * recordBytes, put(client, requests.get(nth % requests.size())));
            } catch (CompletionException | IllegalStateException error) {
                counts.failed(String.valueOf(error.getCause() == null ? error : error.getCause()));
            }
            made++;
        }
        return made;
    }

    /** The sequence numbers of the records. */
    private List<String> put(KinesisAsyncClient client, List<PutRecordsRequestEntry> entries) {
        if (entries.size() == 1) {
            var only = entries.get(0);
            var answer = client.putRecord(r ->
                r.streamName(stream).partitionKey(only.partitionKey()).data(only.data())).join();
            return List.of(answer.sequenceNumber());
        }
        var answer = client.putRecords(r -> r.streamName(stream).records(entries)).join();
        if (answer.failedRecordCount() != 0 || answer.records().size() != entries.size()) {
            throw new IllegalStateException(answer.failedRecordCount() + " records failed");
        }
        return answer.records().stream().map(PutRecordsResultEntry::sequenceNumber).toList();
    }

    private static int number(String name) {
        return Integer.parseInt(System.getenv(name));
    }
}
