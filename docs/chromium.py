"""One page in headless Chromium, driven over its DevTools pipe: no library, no port."""

import base64
import contextlib
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-pipe")
NO_NETWORK = ("--host-resolver-rules=MAP * ~NOTFOUND", "--proxy-server=127.0.0.1:9")
PIPES = 'exec "$@" 3<&0 4>&1 >&2'  # where Chromium reads commands and writes answers

KEY_CODES = {"Backspace": 8, "Enter": 13}


def chromium() -> str | None:
    """The program, if there is one."""
    return os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")


class Page:
    """A context manager; `script` runs before each page's own. After `seconds` the browser is killed, come what may."""

    def __init__(self, profile: Path, *, script: str, seconds: float, options: Sequence[str] = ()) -> None:
        program = chromium()
        assert program, "no Chromium in PATH: install it (Debian: apt-get install chromium), or name it in CHROMIUM"
        self._process = subprocess.Popen(
            ["sh", "-c", PIPES, "sh", program, *OPTIONS, *options, f"--user-data-dir={profile}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert self._process.stdin
        assert self._process.stdout
        self._commands, self._answers = self._process.stdin, self._process.stdout
        self._deadline = threading.Timer(seconds, self._kill)
        self._count, self._read, self._script = 0, b"", script
        self._session: dict[str, str] = {}

    def __enter__(self) -> Self:
        self._deadline.start()
        try:
            target = self._send("Target.createTarget", url="about:blank")["targetId"]
            session = self._send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            self._session = {"sessionId": session}
            self._send("Page.enable")
            self._send("Page.addScriptToEvaluateOnNewDocument", source=self._script)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._deadline.cancel()
        self._kill()
        self._process.wait()
        with contextlib.suppress(BrokenPipeError):
            self._commands.close()
        self._answers.close()

    def _kill(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)

    def open(self, address: str, *, width: int, height: int) -> None:
        self._width = width
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._send("Emulation.setDeviceMetricsOverride", **size)
        self._send("Page.navigate", url="about:blank")  # a new fragment alone would not load the page anew
        self._send("Page.navigate", url=address)

    def value(self, expression: str) -> Any:
        """What a JavaScript expression yields, as JSON would have it."""
        answer = self._send("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, condition: str, *, seconds: float = 90) -> None:
        end = time.monotonic() + seconds
        while not self.value(f"Boolean({condition})"):
            assert time.monotonic() < end, f"after {seconds} s still not: {condition}"
            time.sleep(0.3)

    def emulate(self, *, media: str = "", dark: bool = False) -> None:
        """Has the page believe that it is printed (`media`), or that its reader likes it dark."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._send("Emulation.setEmulatedMedia", media=media, features=[scheme])

    def pdf(self) -> bytes:
        return base64.b64decode(self._send("Page.printToPDF", printBackground=True, preferCSSPageSize=True)["data"])

    def choose_file(self, selector: str, path: Path) -> None:
        """Gives a file to an input, as a person does by its dialogue."""
        found = self._send("Runtime.evaluate", expression=f"document.querySelector({json.dumps(selector)})")
        self._send("DOM.setFileInputFiles", files=[str(path)], objectId=found["result"]["objectId"])

    def type(self, text: str) -> None:
        """Text and the return key, into what has the focus."""
        self._send("Input.insertText", text=text)
        time.sleep(0.5)  # a list to choose from shows what fits
        self.press("Enter")

    def press(self, key: str) -> None:
        for kind in ("keyDown", "keyUp"):
            code = KEY_CODES[key]
            self._send("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def picture(
        self, *, top: int = 0, height: int | None = None, still: bool = True, quiet: float = 2, seconds: float = 60
    ) -> bytes:
        """The page, or the part of it from `top` on, as PNG, once two pictures, `quiet` seconds apart, are equal; one
        that is never `still` after that time."""
        area = {"x": 0, "y": top, "width": self._width, "height": height, "scale": 1}
        clip = {"clip": area, "captureBeyondViewport": True} if height else {}
        end, last = time.monotonic() + seconds, b""
        while True:
            now = base64.b64decode(self._send("Page.captureScreenshot", format="png", **clip)["data"])
            if now == last or (last and not still):
                return now
            assert time.monotonic() < end, f"the page still moves after {seconds} s"
            last = now
            time.sleep(quiet)

    def _send(self, method: str, **params: Any) -> dict[str, Any]:
        """One command; its result. Events that come meanwhile are passed over."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": params, **self._session}
        self._commands.write(json.dumps(message).encode() + b"\0")
        self._commands.flush()
        while (answer := json.loads(self._next())).get("id") != self._count:
            pass
        assert "result" in answer, answer
        return dict(answer["result"])

    def _next(self) -> bytes:
        while b"\0" not in self._read:
            part = os.read(self._answers.fileno(), 1 << 16)
            assert part, "Chromium ended, or was too slow"
            self._read += part
        message, _, self._read = self._read.partition(b"\0")
        return message
