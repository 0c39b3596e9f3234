import java.util.concurrent.atomic.AtomicLong;
import software.amazon.awssdk.core.interceptor.Context;
import software.amazon.awssdk.core.interceptor.ExecutionAttributes;
import software.amazon.awssdk.core.interceptor.ExecutionInterceptor;

/** What the SDK really puts on the wire: how often it tries, in which encoding. */
final class Sent implements ExecutionInterceptor {
    private final AtomicLong attempts = new AtomicLong();
    private volatile String contentType = "none";

    @Override
    public void beforeTransmission(Context.BeforeTransmission context, ExecutionAttributes attributes) {
        if (attempts.getAndIncrement() == 0) {
            contentType = context.httpRequest().firstMatchingHeader("Content-Type").orElse("none");
        }
    }

    /** Attempts so far. */
    long attempts() {
        return attempts.get();
    }

    /** Of the first request. */
    String contentType() {
        return contentType;
    }
}
