// Sends traces, metrics and logs with the OpenTelemetry SDK, every batch twice: through the agent and straight to a
// reference upstream. Prints as JSON what it sent.
//
//   node client.js json|proto|grpc none|gzip AGENT_ENDPOINT REFERENCE_URL
'use strict';

const { SeverityNumber } = require('@opentelemetry/api-logs');
const { SpanKind, SpanStatusCode, context, trace } = require('@opentelemetry/api');
const { resourceFromAttributes } = require('@opentelemetry/resources');
const { BasicTracerProvider, BatchSpanProcessor } = require('@opentelemetry/sdk-trace-base');
const { LoggerProvider, BatchLogRecordProcessor } = require('@opentelemetry/sdk-logs');
const { MeterProvider, PeriodicExportingMetricReader, AggregationType, AggregationTemporality } =
    require('@opentelemetry/sdk-metrics');

const [encoding, compression, agentEndpoint, referenceUrl] = process.argv.slice(2);
const SPANS = 120;
const LOGS = 90;

function exporters(signal, name) {
  const package_ = (kind) => require(`@opentelemetry/exporter-${signal === 'traces' ? 'trace' : signal}-otlp-${kind}`)[name];
  const suffix = `/v1/${signal}`;
  const straight = new (package_(encoding === 'json' ? 'http' : 'proto'))({ url: referenceUrl + suffix });
  if (encoding === 'grpc') {
    return [new (package_('grpc'))({ url: `http://${agentEndpoint}`, compression }), straight];
  }
  const tested = package_(encoding === 'json' ? 'http' : 'proto');
  return [new tested({ url: agentEndpoint + suffix, compression }), straight];
}

// Exports every batch with both; fails if either does.
class Both {
  constructor(pair) {
    this.pair = pair;
  }
  export(batch, done) {
    const results = [];
    for (const exporter of this.pair) {
      exporter.export(batch, (result) => {
        results.push(result);
        if (result.code !== 0) {
          console.error('export failed:', result.error);
          process.exitCode = 1;
        }
        if (results.length === this.pair.length) {
          done(results.find((each) => each.code !== 0) ?? results[0]);
        }
      });
    }
  }
  async forceFlush() {
    await Promise.all(this.pair.map((exporter) => exporter.forceFlush?.()));
  }
  async shutdown() {
    await Promise.all(this.pair.map((exporter) => exporter.shutdown()));
  }
  selectAggregationTemporality() {
    return AggregationTemporality.CUMULATIVE;
  }
}

const resource = resourceFromAttributes({ 'service.name': 'node-shop', 'host.cpus': 4, zones: ['a', 'b'], ö: 'Grüße ✓' });
const sent = { spans: [], logs: [], metrics: ['requests', 'queue', 'latency', 'size.exponential', 'temperature'] };

async function sendSpans() {
  const provider = new BasicTracerProvider({
    resource,
    spanProcessors: [new BatchSpanProcessor(new Both(exporters('traces', 'OTLPTraceExporter')), { maxExportBatchSize: 50 })],
  });
  const tracer = provider.getTracer('shop.cart', '1.2.3', { schemaUrl: 'https://opentelemetry.io/schemas/1.26.0' });
  const root = tracer.startSpan('checkout ☕', { kind: SpanKind.SERVER });
  const inRoot = trace.setSpan(context.active(), root);
  for (let n = 0; n < SPANS; n++) {
    const span = tracer.startSpan(`step ${n}`, { kind: SpanKind.CLIENT, links: [{ context: root.spanContext() }] }, inRoot);
    span.setAttributes({ text: 'tab\tquote"', empty: '', yes: true, number: n, big: Number.MAX_SAFE_INTEGER,
      negative: -n, ratio: 0.1, list: [1, 2, 3], names: ['ä', ''] });
    span.addEvent('tick', { n });
    if (n % 7 === 0) {
      span.setStatus({ code: SpanStatusCode.ERROR, message: 'out of stock' });
      span.recordException(new Error('no such item'));
    }
    span.end();
    sent.spans.push({ traceId: span.spanContext().traceId, spanId: span.spanContext().spanId, name: `step ${n}` });
  }
  root.end();
  sent.spans.push({ traceId: root.spanContext().traceId, spanId: root.spanContext().spanId, name: 'checkout ☕' });
  await provider.shutdown();
}

async function sendLogs() {
  const exporter = new Both(exporters('logs', 'OTLPLogExporter'));
  const processor = new BatchLogRecordProcessor({ exporter, maxExportBatchSize: 40 });
  const provider = new LoggerProvider({ resource, processors: [processor] });
  const logger = provider.getLogger('shop.log', '0.1');
  const bodies = ['plain', '', { nested: { list: [1, 'two', 3.5] } }, 42, true, 1.5, ['a', 1], new Uint8Array([0, 255])];
  for (let n = 0; n < LOGS; n++) {
    const severityNumber = 1 + (n % 24);
    logger.emit({ severityNumber, severityText: SeverityNumber[severityNumber], body: bodies[n % bodies.length],
      timestamp: [1700000000, n], observedTimestamp: [1700000001, n], attributes: { n, even: n % 2 === 0 } });
    sent.logs.push({ n, severityNumber });
  }
  await provider.shutdown();
}

async function sendMetrics() {
  const reader = new PeriodicExportingMetricReader(
      { exporter: new Both(exporters('metrics', 'OTLPMetricExporter')), exportIntervalMillis: 3600000 });
  const provider = new MeterProvider({ resource, readers: [reader], views: [
    { instrumentName: 'size.exponential', aggregation: { type: AggregationType.EXPONENTIAL_HISTOGRAM } }] });
  const meter = provider.getMeter('shop.meter', '9');
  const requests = meter.createCounter('requests', { unit: '1', description: 'how many' });
  const queue = meter.createUpDownCounter('queue');
  const latency = meter.createHistogram('latency', { unit: 'ms' });
  const size = meter.createHistogram('size.exponential');
  const temperature = meter.createGauge('temperature');
  for (let n = 0; n < 60; n++) {
    const labels = { route: `/r${n % 5}`, ok: n % 2 === 0 };
    requests.add(n, labels);
    queue.add(-n, labels);
    latency.record(n * 1.5, labels);
    size.record(2 ** (n % 30), labels);
    temperature.record(-273.15 + n, labels);
  }
  await provider.shutdown();
}

(async () => {
  await sendSpans();
  await sendLogs();
  await sendMetrics();
  process.stdout.write(JSON.stringify(sent));
})().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
