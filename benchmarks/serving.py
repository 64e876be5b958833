"""The scoring service under load: python -m benchmarks.serving

ResNet18 at 256x256 with random weights, as an ONNX export, in a server process of its own on this machine; clients that
ask again as soon as they are answered. Beside it the bare model: the same export, batches as large as the server's,
without HTTP or decoding. Clients and server share the cores.
"""

import argparse
import http.client
import io
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from PIL import Image

from fastflow.export.about import write_about
from fastflow.export.graph import ScoringGraph
from fastflow.export.runner import open_export
from fastflow.export.write import write_onnx
from fastflow.model import build_model
from fastflow.presets import preset

BATCH_SIZE, PORT = 8, 8099
BARE_SECONDS = 15.0


def make_export(folder: Path) -> None:
    model = build_model(preset("resnet18"), weights="random", seed=0).eval()
    write_onnx(ScoringGraph(model, threshold=0.5), folder)
    write_about(
        folder,
        runtime="onnx",
        precision="fp32",
        category="noise",
        model="random",
        frame=model.frame,
        threshold={"image": 0.5, "low": 0.1, "pixel": 0.5},
    )


def photographs(count: int = 16) -> list[bytes]:
    """Smooth pictures with noise, as PNG files of about 100 kB."""
    rng, found = np.random.default_rng(0), []
    for _ in range(count):
        small = Image.fromarray(rng.integers(60, 200, (16, 16, 3), dtype=np.uint8)).resize((256, 256))
        noisy = np.asarray(small).astype(np.int16) + rng.normal(0, 2, (256, 256, 3)).astype(np.int16)
        file = io.BytesIO()
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(file, "PNG")
        found.append(file.getvalue())
    return found


def bare(folder: Path) -> float:
    """Images a second of the export alone."""
    run = open_export(folder).predict
    images = np.random.default_rng(0).integers(0, 256, (BATCH_SIZE, 3, 256, 256), dtype=np.uint8)
    run(images)
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < BARE_SECONDS:
        run(images)
        count += BATCH_SIZE
    return count / (time.perf_counter() - start)


def load(files: list[bytes], *, clients: int, requests: int) -> tuple[list[float], float, int]:
    """Seconds of each request, requests a second, and how many were not answered with 200."""
    spent: list[float] = []
    failed, turn, lock = 0, iter(range(requests)), threading.Lock()

    def ask() -> None:
        nonlocal failed
        connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
        while True:
            with lock:
                number = next(turn, None)
            if number is None:
                return
            start = time.perf_counter()
            connection.request("POST", "/score", body=files[number % len(files)])
            answer = connection.getresponse()
            answer.read()
            with lock:
                spent.append(time.perf_counter() - start)
                failed += answer.status != 200

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return spent, requests / (time.perf_counter() - start), failed


def wait_for_server(process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=5)
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.3)
    raise SystemExit("the server ended")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--requests", type=int, default=10_000)
    args = parser.parse_args()
    files = photographs()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        make_export(folder)
        alone = [bare(folder)]
        command = [sys.executable, "-m", "pipelines.cli.app", "serve", "--model", str(folder), "--port", str(PORT)]
        process = subprocess.Popen([*command, "--batch-size", str(BATCH_SIZE)], env=dict(os.environ))
        try:
            wait_for_server(process)
            load(files, clients=args.clients, requests=50)
            unloaded, _, _ = load(files, clients=1, requests=100)
            spent, rate, failed = load(files, clients=args.clients, requests=args.requests)
        finally:
            process.terminate()
            process.wait()
        alone.append(bare(folder))
    model, median, late = float(np.mean(alone)), float(np.median(unloaded)), float(np.quantile(spent, 0.99))
    print(f"{os.cpu_count()} cores; bare model {alone[0]:.1f} images/s before, {alone[1]:.1f} after")
    print(f"{args.clients} clients, {args.requests} requests: {rate:.1f} images/s, {rate / model:.0%} of the bare")
    print(f"unloaded median {1000 * median:.0f} ms, loaded {1000 * np.median(spent):.0f} ms, 99th percentile")
    print(f"{1000 * late:.0f} ms, {late / median:.1f} times the unloaded median; {failed} failed")


if __name__ == "__main__":
    main()
