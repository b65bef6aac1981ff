// Sends traces, metrics and logs with the OpenTelemetry SDK, every batch twice: through the agent and straight to a
// reference upstream. Prints as JSON what it sent.
//
//	client grpc|proto none|gzip AGENT_ENDPOINT REFERENCE_ENDPOINT     (endpoints are host:port)
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/metric"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

const (
	spans = 300
	logs  = 200
)

type sentSpan struct {
	TraceID string `json:"traceId"`
	SpanID  string `json:"spanId"`
	Name    string `json:"name"`
}

type sent struct {
	Spans   []sentSpan `json:"spans"`
	Logs    int        `json:"logs"`
	Metrics []string   `json:"metrics"`
}

// Each of these exports a batch with both of its exporters, and fails if either does.
type bothSpans struct{ agent, reference sdktrace.SpanExporter }

func (b bothSpans) ExportSpans(ctx context.Context, batch []sdktrace.ReadOnlySpan) error {
	return errors.Join(b.agent.ExportSpans(ctx, batch), b.reference.ExportSpans(ctx, batch))
}

func (b bothSpans) Shutdown(ctx context.Context) error {
	return errors.Join(b.agent.Shutdown(ctx), b.reference.Shutdown(ctx))
}

type bothLogs struct{ agent, reference sdklog.Exporter }

func (b bothLogs) Export(ctx context.Context, batch []sdklog.Record) error {
	return errors.Join(b.agent.Export(ctx, batch), b.reference.Export(ctx, batch))
}

func (b bothLogs) ForceFlush(ctx context.Context) error {
	return errors.Join(b.agent.ForceFlush(ctx), b.reference.ForceFlush(ctx))
}

func (b bothLogs) Shutdown(ctx context.Context) error {
	return errors.Join(b.agent.Shutdown(ctx), b.reference.Shutdown(ctx))
}

type bothMetrics struct {
	sdkmetric.Exporter
	reference sdkmetric.Exporter
}

func (b bothMetrics) Export(ctx context.Context, batch *metricdata.ResourceMetrics) error {
	return errors.Join(b.Exporter.Export(ctx, batch), b.reference.Export(ctx, batch))
}

func (b bothMetrics) Shutdown(ctx context.Context) error {
	return errors.Join(b.Exporter.Shutdown(ctx), b.reference.Shutdown(ctx))
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type target struct {
	grpc, gzip       bool
	agent, reference string
}

func (t target) spans(ctx context.Context) bothSpans {
	reference := must(otlptracehttp.New(ctx, otlptracehttp.WithEndpoint(t.reference), otlptracehttp.WithInsecure()))
	if t.grpc {
		options := []otlptracegrpc.Option{otlptracegrpc.WithEndpoint(t.agent), otlptracegrpc.WithInsecure()}
		if t.gzip {
			options = append(options, otlptracegrpc.WithCompressor("gzip"))
		}
		return bothSpans{must(otlptracegrpc.New(ctx, options...)), reference}
	}
	options := []otlptracehttp.Option{otlptracehttp.WithEndpoint(t.agent), otlptracehttp.WithInsecure()}
	if t.gzip {
		options = append(options, otlptracehttp.WithCompression(otlptracehttp.GzipCompression))
	}
	return bothSpans{must(otlptracehttp.New(ctx, options...)), reference}
}

func (t target) logs(ctx context.Context) bothLogs {
	reference := must(otlploghttp.New(ctx, otlploghttp.WithEndpoint(t.reference), otlploghttp.WithInsecure()))
	if t.grpc {
		options := []otlploggrpc.Option{otlploggrpc.WithEndpoint(t.agent), otlploggrpc.WithInsecure()}
		if t.gzip {
			options = append(options, otlploggrpc.WithCompressor("gzip"))
		}
		return bothLogs{must(otlploggrpc.New(ctx, options...)), reference}
	}
	options := []otlploghttp.Option{otlploghttp.WithEndpoint(t.agent), otlploghttp.WithInsecure()}
	if t.gzip {
		options = append(options, otlploghttp.WithCompression(otlploghttp.GzipCompression))
	}
	return bothLogs{must(otlploghttp.New(ctx, options...)), reference}
}

func (t target) metrics(ctx context.Context) bothMetrics {
	reference := must(otlpmetrichttp.New(ctx, otlpmetrichttp.WithEndpoint(t.reference), otlpmetrichttp.WithInsecure()))
	if t.grpc {
		options := []otlpmetricgrpc.Option{otlpmetricgrpc.WithEndpoint(t.agent), otlpmetricgrpc.WithInsecure()}
		if t.gzip {
			options = append(options, otlpmetricgrpc.WithCompressor("gzip"))
		}
		return bothMetrics{must(otlpmetricgrpc.New(ctx, options...)), reference}
	}
	options := []otlpmetrichttp.Option{otlpmetrichttp.WithEndpoint(t.agent), otlpmetrichttp.WithInsecure()}
	if t.gzip {
		options = append(options, otlpmetrichttp.WithCompression(otlpmetrichttp.GzipCompression))
	}
	return bothMetrics{must(otlpmetrichttp.New(ctx, options...)), reference}
}

func sendSpans(ctx context.Context, exporter bothSpans, origin *resource.Resource, all *sent) {
	provider := sdktrace.NewTracerProvider(sdktrace.WithResource(origin),
		sdktrace.WithBatcher(exporter, sdktrace.WithMaxExportBatchSize(64)))
	tracer := provider.Tracer("shop.cart", trace.WithInstrumentationVersion("1.2.3"),
		trace.WithSchemaURL("https://opentelemetry.io/schemas/1.26.0"))
	add := func(span trace.Span, name string) {
		span.End()
		id := span.SpanContext()
		all.Spans = append(all.Spans, sentSpan{id.TraceID().String(), id.SpanID().String(), name})
	}
	inRoot, root := tracer.Start(ctx, "checkout ☕", trace.WithSpanKind(trace.SpanKindServer))
	for n := range spans - 1 {
		name := fmt.Sprintf("step %d", n)
		_, span := tracer.Start(inRoot, name, trace.WithSpanKind(trace.SpanKindClient),
			trace.WithLinks(trace.Link{SpanContext: root.SpanContext()}))
		span.SetAttributes(attribute.String("text", "tab\tquote\""), attribute.String("empty", ""),
			attribute.Bool("yes", true), attribute.Int64("big", math.MaxInt64), attribute.Int64("negative", math.MinInt64),
			attribute.Float64("ratio", 0.1), attribute.IntSlice("list", []int{1, 2, 3}),
			attribute.StringSlice("names", []string{"ä", ""}))
		span.AddEvent("tick", trace.WithAttributes(attribute.Int("n", n)))
		if n%7 == 0 {
			span.SetStatus(codes.Error, "out of stock")
			span.RecordError(errors.New("no such item"))
		}
		add(span, name)
	}
	add(root, "checkout ☕")
	check(provider.Shutdown(ctx))
}

func sendLogs(ctx context.Context, exporter bothLogs, origin *resource.Resource, all *sent) {
	provider := sdklog.NewLoggerProvider(sdklog.WithResource(origin),
		sdklog.WithProcessor(sdklog.NewBatchProcessor(exporter, sdklog.WithExportMaxBatchSize(50))))
	logger := provider.Logger("shop.log", log.WithInstrumentationVersion("0.1"))
	bodies := []attribute.Value{attribute.StringValue("plain"), attribute.StringValue(""), attribute.Int64Value(-42),
		attribute.BoolValue(true), attribute.Float64Value(math.Inf(1)), attribute.ByteSliceValue([]byte{0, 255}),
		attribute.SliceValue(attribute.StringValue("a"), attribute.IntValue(1)),
		attribute.MapValue(attribute.Slice("nested", attribute.StringValue("two"), attribute.Float64Value(3.5)))}
	for n := range logs {
		var record log.Record
		record.SetTimestamp(time.Unix(1700000000, int64(n)))
		record.SetObservedTimestamp(time.Unix(1700000001, int64(n)))
		record.SetSeverity(log.Severity(1 + n%24))
		record.SetBody(bodies[n%len(bodies)])
		record.AddAttributes(attribute.Int("n", n), attribute.Bool("even", n%2 == 0))
		logger.Emit(ctx, record)
	}
	check(provider.Shutdown(ctx))
	all.Logs = logs
}

func sendMetrics(ctx context.Context, exporter bothMetrics, origin *resource.Resource, all *sent) {
	exponential := sdkmetric.NewView(sdkmetric.Instrument{Name: "size.exponential"},
		sdkmetric.Stream{Aggregation: sdkmetric.AggregationBase2ExponentialHistogram{MaxSize: 160, MaxScale: 20}})
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithResource(origin), sdkmetric.WithView(exponential),
		sdkmetric.WithReader(sdkmetric.NewPeriodicReader(exporter, sdkmetric.WithInterval(time.Hour))))
	meter := provider.Meter("shop.meter", metric.WithInstrumentationVersion("9"))
	requests := must(meter.Int64Counter("requests", metric.WithUnit("1"), metric.WithDescription("how many")))
	queue := must(meter.Int64UpDownCounter("queue"))
	latency := must(meter.Float64Histogram("latency", metric.WithUnit("ms")))
	size := must(meter.Int64Histogram("size.exponential"))
	temperature := must(meter.Float64Gauge("temperature"))
	for n := range 60 {
		labels := metric.WithAttributes(attribute.String("route", fmt.Sprintf("/r%d", n%5)), attribute.Bool("ok", n%2 == 0))
		requests.Add(ctx, int64(n), labels)
		queue.Add(ctx, int64(-n), labels)
		latency.Record(ctx, float64(n)*1.5, labels)
		size.Record(ctx, int64(1)<<(n%30), labels)
		temperature.Record(ctx, -273.15+float64(n), labels)
	}
	check(provider.Shutdown(ctx))
	all.Metrics = []string{"requests", "queue", "latency", "size.exponential", "temperature"}
}

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: client grpc|proto none|gzip AGENT_ENDPOINT REFERENCE_ENDPOINT")
		os.Exit(2)
	}
	to := target{grpc: os.Args[1] == "grpc", gzip: os.Args[2] == "gzip", agent: os.Args[3], reference: os.Args[4]}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	origin := resource.NewSchemaless(attribute.String("service.name", "go-shop"), attribute.Int("host.cpus", 4),
		attribute.StringSlice("zones", []string{"a", "b"}), attribute.String("ö", "Grüße ✓"))
	var all sent
	sendSpans(ctx, to.spans(ctx), origin, &all)
	sendLogs(ctx, to.logs(ctx), origin, &all)
	sendMetrics(ctx, to.metrics(ctx), origin, &all)
	check(json.NewEncoder(os.Stdout).Encode(all))
}
