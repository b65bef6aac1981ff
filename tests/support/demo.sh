#!/usr/bin/env bash
# What ./dev run shows: an upstream that goes away while telemetry flows, and an agent that loses none of it.
#
# Everything it starts ends with it, and everything it writes lies in a directory of its own that goes with it.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.."

HOLDFAST=${HOLDFAST_BINARY:-build/dev/holdfast}
SPANS_PER_REQUEST=50
REQUESTS_PER_TICK=10
SECONDS_HEALTHY=5
SECONDS_AWAY=12
SECONDS_DRAIN_MAX=30

once=
[ -t 0 ] || once=1
for argument in "$@"; do
  case $argument in
    --once) once=1 ;;
    *)
      echo "run knows --once, not \"$argument\"" >&2
      exit 2
      ;;
  esac
done

directory=$(mktemp -d "${TMPDIR:-/tmp}/holdfast-run.XXXXXX")
agent= sink= tail=
cleanup() {
  trap - EXIT
  trap '' INT TERM # a second Ctrl-C shall not leave anything behind
  local pid
  for pid in $tail $agent $sink; do kill -TERM "$pid" 2>/dev/null || true; done
  for pid in $agent $sink; do wait "$pid" 2>/dev/null || true; done
  rm -rf "$directory"
}
trap cleanup EXIT
trap 'echo; echo "Stopped."; exit 0' INT TERM

bold() { if [ -t 1 ]; then printf '\n\033[1m%s\033[0m\n' "$*"; else printf '\n%s\n' "$*"; fi; }
give_up() {
  printf '\n%s\n' "$*" >&2
  [ ! -s "$directory/agent.log" ] || { echo "--- the agent said:" && tail -n 20 "$directory/agent.log"; } >&2
  exit 1
}

port_is_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null || (exec 3<>"/dev/tcp/::1/$1") 2>/dev/null; }
for port in 4317:"OTLP/gRPC" 4318:"OTLP/HTTP" 13133:"the health port" 4319:"the sink"; do
  ! port_is_taken "${port%%:*}" ||
    give_up "Port ${port%%:*} (${port#*:}) is taken by another program; please end that one first."
done

# ---- the two processes --------------------------------------------------------------------------------------
sink_runs=0
start_sink() {
  sink_runs=$((sink_runs + 1))
  "$HOLDFAST" sink --endpoint localhost:4319 >"$directory/sink-$sink_runs.log" 2>&1 &
  sink=$!
  wait_for "the sink" "$sink" port_is_taken 4319
}
stop_sink() {
  kill -TERM "$sink"
  wait "$sink" || give_up "The sink did not end well: $(cat "$directory/sink-$sink_runs.log")"
  sink=
}
start_agent() {
  # The example's own retry intervals (5 s to 30 s) are right for real life, and too long to sit and watch.
  "$HOLDFAST" --config config.example.yaml \
    --set "extensions.disk_buffer.directory=$directory/buffer" \
    --set exporters.otlp_http.endpoint=http://localhost:4319 \
    --set exporters.otlp_http.retry_on_failure.initial_interval=500ms \
    --set exporters.otlp_http.retry_on_failure.max_interval=2s >"$directory/agent.log" 2>&1 &
  agent=$!
  wait_for "the agent" "$agent" curl -sf -o /dev/null http://localhost:13133/
}
wait_for() { # wait_for NAME PID COMMAND...: until COMMAND succeeds, as long as the process lives
  local name=$1 pid=$2 tries=0
  shift 2
  until "$@" 2>/dev/null; do
    kill -0 "$pid" 2>/dev/null || give_up "$name ended at once. $(cat "$directory"/sink-*.log 2>/dev/null)"
    tries=$((tries + 1))
    [ "$tries" -lt 100 ] || give_up "$name is not ready after 10 s."
    sleep 0.1
  done
}

# ---- telemetry ----------------------------------------------------------------------------------------------
sent=0 request=0
request_body() { # request_body SEED: OTLP/JSON with fresh ids
  awk -v seed="$1" -v spans="$SPANS_PER_REQUEST" -v now="$(date +%s)" '
    function hex(words,   text) { text = ""; while (words-- > 0) text = text sprintf("%04x", int(rand() * 65536)); return text }
    BEGIN {
      srand(seed)
      trace = hex(8)
      printf "{\"resourceSpans\":[{\"resource\":{\"attributes\":[{\"key\":\"service.name\",\"value\":{\"stringValue\":\"demo\"}}]},"
      printf "\"scopeSpans\":[{\"scope\":{\"name\":\"demo\"},\"spans\":["
      for (i = 0; i < spans; i++) {
        printf "%s{\"traceId\":\"%s\",\"spanId\":\"%s\",\"name\":\"step %d\",\"kind\":2,", (i ? "," : ""), trace, hex(4), i
        printf "\"startTimeUnixNano\":\"%s%09d\",\"endTimeUnixNano\":\"%s%09d\",", now, i * 1000, now, i * 1000 + 900
        printf "\"attributes\":[{\"key\":\"order.id\",\"value\":{\"stringValue\":\"%s\"}}]}", hex(6)
      }
      printf "]}]}]}"
    }'
}
send() {
  request=$((request + 1))
  local status
  status=$(request_body "$$$request" | curl -s -o /dev/null -w '%{http_code}' -H 'Content-Type: application/json' \
    --data-binary @- http://localhost:4318/v1/traces) || true
  [ "$status" = 200 ] || give_up "The agent answered $status where 200 was expected."
  sent=$((sent + SPANS_PER_REQUEST))
}

# ---- what to show -------------------------------------------------------------------------------------------
metrics=
look() { metrics=$(curl -sf http://localhost:13133/metrics); }
metric() { # metric NAME: the value for traces
  awk -v name="$1" 'index($0, name "{") == 1 && /signal="traces"/ { sum += $NF } END { printf "%d", sum }' <<<"$metrics"
}
upstream_state() {
  awk '/^holdfast_exporter_state\{/ && /signal="traces"/ && $NF == 1 { match($0, /state="[a-z]+"/)
    print substr($0, RSTART + 7, RLENGTH - 8) }' <<<"$metrics"
}
show() {
  look
  printf '  %3d s   sent %6d   waiting in the buffer %6d (%5d KiB on disk)   delivered %6d   upstream: %s\n' \
    "$SECONDS" "$sent" "$(metric holdfast_buffer_stored_items)" \
    "$(($(metric holdfast_buffer_allocated_bytes) / 1024))" "$(metric holdfast_delivered_items_total)" \
    "$(upstream_state)"
}
flow() { # flow SECONDS: telemetry for that long, a line each second
  local until=$((SECONDS + $1)) second i
  while [ "$SECONDS" -lt "$until" ]; do
    second=$SECONDS
    for ((i = 0; i < REQUESTS_PER_TICK; i++)); do send; done
    while [ "$SECONDS" = "$second" ]; do sleep 0.05; done
    show
  done
}
sink_total() { # spans that the sinks of this run have counted, by their own last word
  local run total=0 count
  for ((run = 1; run <= sink_runs; run++)); do
    count=$(grep -oE '[0-9]+ spans' "$directory/sink-$run.log" | tail -n 1 | grep -oE '[0-9]+') || count=0
    total=$((total + ${count:-0}))
  done
  echo "$total"
}

SECONDS=0
bold "1. A sink (the upstream) and the agent start; telemetry flows through."
start_sink
start_agent
echo "  agent: OTLP on localhost:4317 (gRPC) and localhost:4318 (HTTP)   sink: localhost:4319"
flow "$SECONDS_HEALTHY"

bold "2. The sink goes away. Senders notice nothing: what they send is on disk before they get their answer."
stop_sink
flow "$SECONDS_AWAY"
echo "  The files:"
ls -l "$directory/buffer/traces" | awk 'NR > 1 { printf "    %9d bytes  %s\n", $5, $NF }'
look
[ "$(metric holdfast_buffer_stored_items)" -gt 0 ] || give_up "The backlog is empty while the sink is away."

bold "3. The sink is back. The agent finds out by itself and delivers the backlog, oldest first."
start_sink
drained_by=$((SECONDS + SECONDS_DRAIN_MAX))
while look && [ "$(metric holdfast_buffer_stored_items)" -gt 0 ]; do
  [ "$SECONDS" -lt "$drained_by" ] || give_up "The backlog did not drain within $SECONDS_DRAIN_MAX s."
  show
  sleep 1
done
show

files() { find "$directory/buffer" -name '*.wip' -o -name '*.seg'; }
while [ -n "$(files)" ]; do
  [ "$SECONDS" -lt "$drained_by" ] || give_up "All is delivered, but these files are still there: $(files)"
  sleep 0.1
done
echo "  The files are gone."

stop_sink # it says its total when it ends
look
bold "sent $sent spans, sink has $(sink_total), $([ "$(metric holdfast_buffer_stored_items)" = 0 ] && echo 'buffer empty')"
[ "$(sink_total)" = "$sent" ] || give_up "These two should be the same."
[ -z "$once" ] || exit 0

start_sink
cat <<'TEXT'

The agent goes on running; Ctrl-C ends it. Meanwhile:
  curl localhost:13133/status       how it is, as JSON
  curl localhost:13133/metrics      the same for Prometheus
  send it something of your own     OTLP to localhost:4317 (gRPC) or http://localhost:4318 (HTTP)
Its log:
TEXT
tail -n 5 -f "$directory/agent.log" &
tail=$!
wait "$agent"
