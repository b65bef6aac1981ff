"""The command line: what is printed, and where, and the exit status."""

import re
import signal
import subprocess
import time

import pytest
import requests

import otlp
from agent import BINARY, ROOT, free_ports, wait_until
from load import Load, new_ids

GOOD = """\
receivers:
  otlp:
    protocols:
      grpc:
      http: {endpoint: "127.0.0.1:0"}
processors:
  batch:
exporters:
  otlphttp:
    endpoint: http://127.0.0.1:4319
    headers: {authorization: "Bearer ${env:HOLDFAST_TEST_TOKEN:-fallback-token}"}
extensions:
  disk_buffer: {directory: /tmp/holdfast-test}
service:
  extensions: [disk_buffer, ]
  pipelines:
    traces: {receivers: [otlp], processors: [batch], exporters: [otlphttp]}
"""
BAD = """\
receivers:
  otlp:
    protocols:
      grpc: {endpiont: "127.0.0.1:4317"}
exporters:
  otlphttp:
    endpoint: http://127.0.0.1:4319
    timeout: soon
service:
  pipelines:
    traces: {receivers: [otlp], exporters: [elsewhere]}
"""


def holdfast(*arguments, **options):
    return subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True, timeout=30, **options)


@pytest.fixture
def write(tmp_path):
    def write(name, text):
        file = tmp_path / name
        file.write_text(text)
        return file

    return write


def test_version_names_the_version():
    done = holdfast("--version")
    assert done.returncode == 0 and re.fullmatch(r"holdfast version \d+\.\d+\.\d+\n", done.stdout)


def test_help_lists_the_subcommands():
    done = holdfast("--help")
    assert done.returncode == 0
    for subcommand in ("run", "validate", "print-config", "components", "sink", "buffer"):
        assert re.search(rf"^\s+{subcommand}\b", done.stdout, re.MULTILINE), subcommand


def test_components_lists_what_this_version_has():
    done = holdfast("components")
    assert done.returncode == 0
    for name in ("otlp", "batch", "memory_limiter", "otlp_http", "debug", "nop", "health_check", "file_storage",
                 "disk_buffer"):
        assert re.search(rf"\b{name}\b", done.stdout), name


def test_validate_accepts_the_example_of_this_repository():
    done = holdfast("validate", "--config", ROOT / "config.example.yaml")
    assert done.returncode == 0, done.stderr


def test_validate_accepts_null_sections_and_trailing_commas(write):
    done = holdfast("validate", "--config", write("good.yaml", GOOD))
    assert done.returncode == 0, done.stderr


def test_validate_tells_all_errors_at_once_each_with_its_place(write):
    file = write("bad.yaml", BAD)
    done = holdfast("validate", "--config", file)
    assert done.returncode != 0
    places = {int(line) for line in re.findall(rf"^{re.escape(str(file))}:(\d+):\d+: ", done.stderr, re.MULTILINE)}
    assert {4, 8, 11} <= places, done.stderr
    assert "endpiont" in done.stderr and "endpoint" in done.stderr
    assert "elsewhere" in done.stderr


def test_a_start_with_a_bad_configuration_ends_with_the_same_errors(write):
    file = write("bad.yaml", BAD)
    done = holdfast("--config", file)
    assert done.returncode != 0
    assert done.stderr == holdfast("validate", "--config", file).stderr


def test_validate_of_broken_yaml_names_the_line(write):
    file = write("broken.yaml", "receivers:\n  otlp: {protocols: [\n")
    done = holdfast("validate", "--config", file)
    assert done.returncode != 0 and re.search(rf"{re.escape(str(file))}:\d+:\d+: ", done.stderr), done.stderr


def test_a_missing_file_and_a_missing_option_say_so(tmp_path):
    missing = tmp_path / "nowhere.yaml"
    done = holdfast("validate", "--config", missing)
    assert done.returncode != 0 and str(missing) in done.stderr
    done = holdfast("run")
    assert done.returncode != 0 and "--config" in done.stderr


def test_print_config_merges_files_and_sets_and_hides_secrets(write):
    second = write("second.yaml", "exporters: {otlphttp: {endpoint: 'http://127.0.0.1:5000'}}\n")
    done = holdfast("print-config", "--config", write("good.yaml", GOOD), "--config", second,
                    "--set", "exporters.otlphttp.timeout=7s", env={"HOLDFAST_TEST_TOKEN": "very-secret"})
    assert done.returncode == 0, done.stderr
    assert "http://127.0.0.1:5000" in done.stdout and "http://127.0.0.1:4319" not in done.stdout
    assert "timeout: 7s" in done.stdout
    assert "very-secret" not in done.stdout and "fallback-token" not in done.stdout


def test_sink_takes_otlp_counts_it_and_ends_on_sigterm():
    port = free_ports(1)[0]
    sink = subprocess.Popen([BINARY, "sink", "--endpoint", f"127.0.0.1:{port}"], stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True)
    try:
        body = otlp.make_request("traces", new_ids(7))

        def post():
            try:
                return requests.post(f"http://127.0.0.1:{port}/v1/traces", body,
                                     headers={"Content-Type": "application/x-protobuf"}, timeout=5)
            except requests.ConnectionError:
                return None

        assert wait_until(post).status_code == 200
    finally:
        sink.send_signal(signal.SIGTERM)
    said, _ = sink.communicate(timeout=10)
    assert sink.returncode == 0
    assert re.search(r"\b7\b", said), said


def test_buffer_ls_and_verify_read_a_directory_beside_the_agent_and_without_it(make_agent, upstream):
    upstream.down()
    agent = make_agent().start()
    load = Load(agent, clients=3, items=10, limit=4).start().join()
    items = sum(map(len, load.acknowledged.values()))
    for _ in ("beside it", "without it"):
        listed = holdfast("buffer", "ls", "--directory", agent.buffer_directory)
        assert listed.returncode == 0 and f"{items} items on disk" in listed.stdout, listed.stdout
        assert all(name in listed.stdout for name in otlp.SIGNALS)
        verified = holdfast("buffer", "verify", "--directory", agent.buffer_directory)
        assert verified.returncode == 0 and f"{items} items whole" in verified.stdout, verified.stdout
        if agent.running():
            assert agent.stop() == 0


def test_buffer_verify_finds_one_flipped_byte(make_agent, upstream):
    upstream.down()
    agent = make_agent().start()
    Load(agent, clients=1, items=50, padding=50, limit=3, signals=("traces",)).start().join()
    assert agent.stop() == 0
    [file] = (agent.buffer_directory / "traces").glob("*.seg")
    damaged = bytearray(file.read_bytes())
    damaged[len(damaged) // 2] ^= 0x10
    file.write_bytes(damaged)
    verified = holdfast("buffer", "verify", "--directory", agent.buffer_directory)
    assert verified.returncode == 1 and str(file) in verified.stdout, verified.stdout


def test_buffer_of_a_missing_directory_fails(tmp_path):
    done = holdfast("buffer", "ls", "--directory", tmp_path / "nowhere")
    assert done.returncode == 1 and "nowhere" in done.stdout + done.stderr


def test_an_agent_without_a_storage_buffers_in_the_state_directory(write, tmp_path):
    [http_port] = free_ports(1)
    file = write("plain.yaml", f"""
receivers: {{otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:{http_port}"}}}}}}}}
exporters: {{otlp_http: {{endpoint: "http://127.0.0.1:9"}}}}
service:
  pipelines: {{logs: {{receivers: [otlp], exporters: [otlp_http]}}}}
  telemetry: {{metrics: {{level: none}}}}
""")
    state = tmp_path / "state"
    agent = subprocess.Popen([BINARY, "--config", file], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
                             env={"STATE_DIRECTORY": str(state)})
    try:
        wait_until(lambda: (state / "logs").is_dir(), 10, "a buffer in $STATE_DIRECTORY")
        began = time.monotonic()
    finally:
        agent.send_signal(signal.SIGTERM)
    _, said = agent.communicate(timeout=10)
    assert time.monotonic() - began < 10 and agent.returncode == 0
    assert str(state) in said, "the log says where"
