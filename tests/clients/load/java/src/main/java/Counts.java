import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ThreadLocalRandom;
import java.util.stream.Collectors;

/** What came of the requests of one measurement. */
final class Counts {
    /** Sequence numbers told, at most. */
    private static final int NUMBERS_MAX = 20_000;
    /** Sequence numbers kept of one request, at most. */
    private static final int NUMBERS_A_REQUEST = 16;

    final long until;
    private final long from;
    private final Map<Long, Long> latencyUs = new TreeMap<>();
    private final List<String> numbers = new ArrayList<>();
    private long records;
    private long bytes;
    private long totalBytes;
    private long failed;
    private int requests;
    private String firstError;

    Counts(long from, long until) {
        this.from = from;
        this.until = until;
    }

    /** A request that began at {@code begun} was answered: these are its records' numbers. */
    synchronized void done(long begun, long bytes, List<String> numbers) {
        long now = System.nanoTime();
        totalBytes += bytes;
        if (now >= from && now < until) {
            records += numbers.size();
            this.bytes += bytes;
        }
        if (begun >= from && begun < until) latencyUs.merge(rounded((now - begun) / 1_000), 1L, Long::sum);
        keep(numbers);
    }

    synchronized void failed(String error) {
        failed++;
        if (firstError == null) firstError = error;
    }

    /** Keeps some of the numbers, from another place in each request; later ones replace earlier ones. */
    private void keep(List<String> numbers) {
        int step = (numbers.size() + NUMBERS_A_REQUEST - 1) / NUMBERS_A_REQUEST;
        for (int at = requests % step; at < numbers.size(); at += step) {
            if (this.numbers.size() < NUMBERS_MAX) this.numbers.add(numbers.get(at));
            else this.numbers.set(ThreadLocalRandom.current().nextInt(NUMBERS_MAX), numbers.get(at));
        }
        requests++;
    }

    /** The line about it. */
    synchronized String tell(long retried) {
        var latencies = latencyUs.entrySet().stream().map(e -> "[" + e.getKey() + "," + e.getValue() + "]");
        return "{\"records\":" + records
            + ",\"bytes\":" + bytes
            + ",\"total_bytes\":" + totalBytes
            + ",\"failed\":" + failed
            + ",\"retried\":" + retried
            + ",\"first_error\":" + (firstError == null ? "null" : quoted(firstError))
            + ",\"latency_us\":" + latencies.collect(Collectors.joining(",", "[", "]"))
            + ",\"sequence_numbers\":" + numbers.stream().map(Counts::quoted).collect(Collectors.joining(",", "[", "]"))
            + "}";
    }

    /** Down to three digits. */
    private static long rounded(long us) {
        long unit = 1;
        while (us / unit >= 1_000) unit *= 10;
        return us / unit * unit;
    }

    private static String quoted(String text) {
        var escaped = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            if (c == '"' || c == '\\') escaped.append('\\').append(c);
            else if (c < ' ') escaped.append(' ');
            else escaped.append(c);
        }
        return escaped.append('"').toString();
    }
}
