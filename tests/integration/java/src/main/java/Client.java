import io.opentelemetry.api.common.AttributeKey;
import io.opentelemetry.api.common.Attributes;
import io.opentelemetry.api.common.Value;
import io.opentelemetry.api.logs.Severity;
import io.opentelemetry.api.metrics.Meter;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.SpanKind;
import io.opentelemetry.api.trace.StatusCode;
import io.opentelemetry.api.trace.Tracer;
import io.opentelemetry.context.Scope;
import io.opentelemetry.exporter.otlp.http.logs.OtlpHttpLogRecordExporter;
import io.opentelemetry.exporter.otlp.http.metrics.OtlpHttpMetricExporter;
import io.opentelemetry.exporter.otlp.http.trace.OtlpHttpSpanExporter;
import io.opentelemetry.exporter.otlp.logs.OtlpGrpcLogRecordExporter;
import io.opentelemetry.exporter.otlp.metrics.OtlpGrpcMetricExporter;
import io.opentelemetry.exporter.otlp.trace.OtlpGrpcSpanExporter;
import io.opentelemetry.sdk.common.CompletableResultCode;
import io.opentelemetry.sdk.logs.SdkLoggerProvider;
import io.opentelemetry.sdk.logs.export.BatchLogRecordProcessor;
import io.opentelemetry.sdk.logs.export.LogRecordExporter;
import io.opentelemetry.sdk.metrics.Aggregation;
import io.opentelemetry.sdk.metrics.InstrumentSelector;
import io.opentelemetry.sdk.metrics.InstrumentType;
import io.opentelemetry.sdk.metrics.SdkMeterProvider;
import io.opentelemetry.sdk.metrics.View;
import io.opentelemetry.sdk.metrics.data.AggregationTemporality;
import io.opentelemetry.sdk.metrics.data.MetricData;
import io.opentelemetry.sdk.metrics.export.MetricExporter;
import io.opentelemetry.sdk.metrics.export.PeriodicMetricReader;
import io.opentelemetry.sdk.resources.Resource;
import io.opentelemetry.sdk.trace.SdkTracerProvider;
import io.opentelemetry.sdk.trace.export.BatchSpanProcessor;
import io.opentelemetry.sdk.trace.export.SpanExporter;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * Sends traces, metrics and logs with the OpenTelemetry SDK, every batch twice: through the agent and straight to a
 * reference upstream. Prints as JSON what it sent.
 *
 * <p>java Client grpc|http none|gzip AGENT_ENDPOINT REFERENCE_URL
 */
public final class Client {
  private static final int SPANS = 120;
  private static final int LOGS = 90;
  private static final Resource RESOURCE =
      Resource.create(
          Attributes.builder()
              .put("service.name", "java-shop")
              .put("host.cpus", 4)
              .put("zones", "a", "b")
              .put("greeting", "Grüße ✓")
              .build());

  private final boolean grpc;
  private final String compression;
  private final String agent;
  private final String reference;
  private final List<String> spanIds = new ArrayList<>();
  private final List<String> logTimes = new ArrayList<>();

  private Client(String[] arguments) {
    grpc = arguments[0].equals("grpc");
    compression = arguments[1];
    agent = arguments[2];
    reference = arguments[3];
  }

  /** Exports every batch with both exporters. */
  private record BothMetrics(MetricExporter tested, MetricExporter straight) implements MetricExporter {
    @Override
    public CompletableResultCode export(Collection<MetricData> metrics) {
      return CompletableResultCode.ofAll(List.of(tested.export(metrics), straight.export(metrics)));
    }

    @Override
    public CompletableResultCode flush() {
      return CompletableResultCode.ofAll(List.of(tested.flush(), straight.flush()));
    }

    @Override
    public CompletableResultCode shutdown() {
      return CompletableResultCode.ofAll(List.of(tested.shutdown(), straight.shutdown()));
    }

    @Override
    public AggregationTemporality getAggregationTemporality(InstrumentType type) {
      return AggregationTemporality.CUMULATIVE;
    }
  }

  private SpanExporter spanExporter() {
    return grpc
        ? OtlpGrpcSpanExporter.builder().setEndpoint(agent).setCompression(compression).build()
        : OtlpHttpSpanExporter.builder().setEndpoint(agent + "/v1/traces").setCompression(compression).build();
  }

  private LogRecordExporter logExporter() {
    return grpc
        ? OtlpGrpcLogRecordExporter.builder().setEndpoint(agent).setCompression(compression).build()
        : OtlpHttpLogRecordExporter.builder().setEndpoint(agent + "/v1/logs").setCompression(compression).build();
  }

  private MetricExporter metricExporter() {
    return grpc
        ? OtlpGrpcMetricExporter.builder().setEndpoint(agent).setCompression(compression).build()
        : OtlpHttpMetricExporter.builder().setEndpoint(agent + "/v1/metrics").setCompression(compression).build();
  }

  private static void finish(CompletableResultCode result, String what) {
    result.join(30, TimeUnit.SECONDS);
    if (!result.isSuccess()) {
      System.err.println(what + " was not exported");
      System.exit(1);
    }
  }

  private void sendSpans() {
    SpanExporter both =
        SpanExporter.composite(
            spanExporter(), OtlpHttpSpanExporter.builder().setEndpoint(reference + "/v1/traces").build());
    SdkTracerProvider provider =
        SdkTracerProvider.builder()
            .setResource(RESOURCE)
            .addSpanProcessor(BatchSpanProcessor.builder(both).setMaxExportBatchSize(50).build())
            .build();
    Tracer tracer =
        provider
            .tracerBuilder("shop.cart")
            .setInstrumentationVersion("1.2.3")
            .setSchemaUrl("https://opentelemetry.io/schemas/1.26.0")
            .build();
    Span root = tracer.spanBuilder("checkout ☕").setSpanKind(SpanKind.SERVER).startSpan();
    spanIds.add(root.getSpanContext().getSpanId());
    try (Scope ignored = root.makeCurrent()) {
      for (int n = 0; n < SPANS; n++) {
        Span span =
            tracer.spanBuilder("step " + n).setSpanKind(SpanKind.CLIENT).addLink(root.getSpanContext()).startSpan();
        span.setAttribute("text", "tab\tquote\"").setAttribute("empty", "").setAttribute("yes", true);
        span.setAttribute("number", n).setAttribute("big", Long.MAX_VALUE).setAttribute("ratio", 0.1);
        span.setAttribute(AttributeKey.longArrayKey("list"), List.of(1L, Long.MIN_VALUE));
        span.addEvent("tick", Attributes.of(AttributeKey.longKey("n"), (long) n));
        if (n % 7 == 0) {
          span.setStatus(StatusCode.ERROR, "out of stock").recordException(new IllegalStateException("no such item"));
        }
        span.end();
        spanIds.add(span.getSpanContext().getSpanId());
      }
    }
    root.end();
    finish(provider.shutdown(), "a span");
  }

  private void sendLogs() {
    LogRecordExporter both =
        LogRecordExporter.composite(
            logExporter(), OtlpHttpLogRecordExporter.builder().setEndpoint(reference + "/v1/logs").build());
    SdkLoggerProvider provider =
        SdkLoggerProvider.builder()
            .setResource(RESOURCE)
            .addLogRecordProcessor(BatchLogRecordProcessor.builder(both).setMaxExportBatchSize(40).build())
            .build();
    List<Value<?>> bodies =
        List.of(Value.of("plain"), Value.of(""), Value.of(42), Value.of(true), Value.of(new byte[] {0, -1}),
            Value.of(Value.of("a"), Value.of(1.5)));
    for (int n = 0; n < LOGS; n++) {
      long time = 1_700_000_000_000_000_000L + n;
      provider.get("shop.log").logRecordBuilder().setTimestamp(time, TimeUnit.NANOSECONDS)
          .setObservedTimestamp(time + 1, TimeUnit.NANOSECONDS).setSeverity(Severity.values()[1 + n % 24])
          .setBody(bodies.get(n % bodies.size())).setAttribute(AttributeKey.longKey("n"), (long) n).emit();
      logTimes.add(Long.toString(time));
    }
    finish(provider.shutdown(), "a log record");
  }

  private void sendMetrics() {
    MetricExporter both =
        new BothMetrics(
            metricExporter(), OtlpHttpMetricExporter.builder().setEndpoint(reference + "/v1/metrics").build());
    SdkMeterProvider provider =
        SdkMeterProvider.builder()
            .setResource(RESOURCE)
            .registerView(
                InstrumentSelector.builder().setName("size.exponential").build(),
                View.builder().setAggregation(Aggregation.base2ExponentialBucketHistogram()).build())
            .registerMetricReader(PeriodicMetricReader.builder(both).setInterval(Duration.ofHours(1)).build())
            .build();
    Meter meter = provider.get("shop.meter");
    for (int n = 0; n < 60; n++) {
      Attributes labels = Attributes.builder().put("route", "/r" + n % 5).put("ok", n % 2 == 0).build();
      meter.counterBuilder("requests").setUnit("1").setDescription("how many").build().add(n, labels);
      meter.upDownCounterBuilder("queue").build().add(-n, labels);
      meter.histogramBuilder("latency").setUnit("ms").build().record(n * 1.5, labels);
      meter.histogramBuilder("size.exponential").build().record(Math.pow(2, n % 30), labels);
      meter.gaugeBuilder("temperature").build().set(-273.15 + n, labels);
    }
    finish(provider.shutdown(), "a metric");
  }

  public static void main(String[] arguments) {
    Client client = new Client(arguments);
    client.sendSpans();
    client.sendLogs();
    client.sendMetrics();
    System.out.printf(
        "{\"spans\":[\"%s\"],\"logs\":[%s]}%n",
        String.join("\",\"", client.spanIds), String.join(",", client.logTimes));
    System.exit(0);
  }
}
