import io.opentelemetry.api.metrics.LongCounter;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.Tracer;
import io.opentelemetry.contrib.disk.buffering.exporters.LogRecordToDiskExporter;
import io.opentelemetry.contrib.disk.buffering.exporters.MetricToDiskExporter;
import io.opentelemetry.contrib.disk.buffering.exporters.SpanToDiskExporter;
import io.opentelemetry.contrib.disk.buffering.storage.impl.FileLogRecordStorage;
import io.opentelemetry.contrib.disk.buffering.storage.impl.FileMetricStorage;
import io.opentelemetry.contrib.disk.buffering.storage.impl.FileSpanStorage;
import io.opentelemetry.contrib.disk.buffering.storage.impl.FileStorageConfiguration;
import io.opentelemetry.sdk.logs.SdkLoggerProvider;
import io.opentelemetry.sdk.logs.export.SimpleLogRecordProcessor;
import io.opentelemetry.sdk.metrics.SdkMeterProvider;
import io.opentelemetry.sdk.metrics.export.PeriodicMetricReader;
import io.opentelemetry.sdk.trace.SdkTracerProvider;
import io.opentelemetry.sdk.trace.export.SimpleSpanProcessor;
import java.io.File;
import java.time.Duration;
import java.util.concurrent.TimeUnit;

/**
 * Stores telemetry with disk-buffering below a root and says on standard output what is stored, a line for each item,
 * after the library has said so. Arguments: root, items of each signal, ms for which a file is appended to.
 */
public final class Store {
  public static void main(String[] arguments) throws Exception {
    File root = new File(arguments[0]);
    int count = Integer.parseInt(arguments[1]);
    long writeMs = Long.parseLong(arguments[2]);
    FileStorageConfiguration configuration =
        FileStorageConfiguration.builder()
            .setMaxFileAgeForWriteMillis(writeMs)
            .setMinFileAgeForReadMillis(writeMs + 1000)
            .setMaxFolderSize(1 << 30)
            .build();
    SdkTracerProvider traces =
        SdkTracerProvider.builder()
            .addSpanProcessor(
                SimpleSpanProcessor.create(
                    SpanToDiskExporter.builder(FileSpanStorage.create(new File(root, "spans"), configuration)).build()))
            .build();
    SdkLoggerProvider logs =
        SdkLoggerProvider.builder()
            .addLogRecordProcessor(
                SimpleLogRecordProcessor.create(
                    LogRecordToDiskExporter.builder(FileLogRecordStorage.create(new File(root, "logs"), configuration))
                        .build()))
            .build();
    SdkMeterProvider metrics =
        SdkMeterProvider.builder()
            .registerMetricReader(
                PeriodicMetricReader.builder(
                        MetricToDiskExporter.builder(
                                FileMetricStorage.create(new File(root, "metrics"), configuration))
                            .build())
                    .setInterval(Duration.ofHours(1))
                    .build())
            .build();
    Tracer tracer = traces.get("store");
    LongCounter counter = metrics.get("store").counterBuilder("stored").build();
    for (int i = 1; i <= count; i++) {
      Span span = tracer.spanBuilder("span " + i).setAttribute("text", "größe").startSpan();
      span.end();
      System.out.println("span " + span.getSpanContext().getSpanId());
      logs.get("store").logRecordBuilder().setBody("log " + i).emit();
      System.out.println("log " + i);
      counter.add(1);
      metrics.forceFlush().join(10, TimeUnit.SECONDS);
      System.out.println("metric " + i);
      System.out.flush();
    }
    traces.close();
    logs.close();
    metrics.close();
  }
}
