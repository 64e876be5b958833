"use strict";
const at = (id) => document.getElementById(id);
const NAMES = { reject: "Rejects", borderline: "Near the threshold", pass: "Passes by chance" };
let item = null, kinds = [], lastKind = "", busy = false;
let seen = false; // the picture of `item` is on the screen: only then can it be good or a defect

const made = (tag, text, ...children) => {
  const found = document.createElement(tag);
  if (text) found.textContent = text;
  found.append(...children);
  return found;
};
const percent = (share) => `${(100 * share).toLocaleString("en", { maximumFractionDigits: share < 0.1 ? 1 : 0 })} %`;
const said = (one) => `${one.inspector}: ${one.action}${one.kind ? ` (${one.kind})` : ""}`;

function complain(text) {
  at("problem").textContent = text;
  at("problem").hidden = !text;
}

async function ask(path, content) {
  const answer = await fetch(path, content && {
    method: "POST", body: JSON.stringify(content),
    headers: { "Content-Type": "application/json", "FastFlow-Review": "1" },
  }).catch(() => { throw new Error("The server does not answer; nothing was kept. Try again."); });
  const found = await answer.json().catch(() => ({}));
  if (answer.ok) return found;
  const error = new Error(typeof found.detail === "string" ? found.detail : `The server answers ${answer.status}.`);
  throw Object.assign(error, { isGone: answer.status === 404 });
}

async function alone(work) {
  if (busy) return;
  busy = true;
  document.body.classList.add("busy");
  try {
    await work();
    complain("");
  } catch (error) {
    complain(error.message);
  } finally {
    busy = false;
    document.body.classList.remove("busy");
  }
}

const inspector = () => at("inspector").value.trim();

async function next(sha256 = "") {
  if (!inspector()) return say("Type your name above, then press Enter.");
  const [queue, kind] = at("queue").value.split(":");
  const found = await ask("next", { inspector: inspector(), queue, kind, sha256 });
  show(found.item);
  tell(found.progress);
}

function say(text) {
  item = null;
  look(false);
  at("message").textContent = text;
  at("message").hidden = false;
  at("frame").hidden = at("verdict").hidden = at("like").hidden = at("said").hidden = true;
  for (const id of ["good", "defect", "skip"]) at(id).disabled = true;
  at("undo").disabled = !inspector();
  choose(false);
}

function show(found) {
  if (!found) return say("Nothing is left to look at here.");
  item = found;
  at("message").hidden = true;
  choose(false);
  press("zoom", false);
  look(false);
  at("skip").disabled = at("undo").disabled = false;
  at("frame").hidden = at("verdict").hidden = at("like").hidden = false;
  at("picture").src = `picture/${found.sha256}`;
  at("heat").src = `heat/${found.sha256}`;
  at("nearest").src = `nearest/${found.sha256}`;
  const bad = found.pred_label === 1;
  at("verdict").className = bad ? "bad" : "passed";
  at("label").textContent = bad ? "The model rejects" : "The model passes";
  at("numbers").textContent = `score ${found.pred_score.toFixed(4)}, threshold ${found.threshold.toFixed(4)}`;
  at("place").textContent = `${found.name}, ${new Date(1000 * found.time).toLocaleString()}`;
  at("place").title = found.path;
  at("said").replaceChildren(...found.said.map((one) => made("span", said(one))));
  at("said").hidden = !found.said.length;
  outline(found);
  fit();
}

function look(isSeen) {
  seen = isSeen;
  at("frame").classList.toggle("loading", !seen); // else the picture before would stand under this one's verdict
  at("good").disabled = at("defect").disabled = !seen;
}

function outline(found) {
  const drawn = at("outlines");
  drawn.setAttribute("viewBox", `0 0 ${found.width} ${found.height}`);
  const path = (region, kind) => {
    const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
    line.setAttribute("d", `M${region.polygon.join(" ")}Z`);
    line.setAttribute("class", kind);
    return line;
  };
  drawn.replaceChildren(...["edge", "line"].flatMap((kind) => found.regions.map((region) => path(region, kind))));
}

function fit() {
  if (!item) return;
  const room = at("stage").getBoundingClientRect();
  const scale = Math.min(room.width / item.width, room.height / item.height);
  at("frame").style.width = `${Math.floor(item.width * scale)}px`;
  at("frame").style.height = `${Math.floor(item.height * scale)}px`;
}

function tell(progress) {
  kinds = progress.kinds;
  at("progress").hidden = false;
  at("counts").replaceChildren(...Object.entries(progress.counts).flatMap(([kind, count]) => {
    const bar = made("progress");
    bar.max = Math.max(1, count.total);
    bar.value = count.done;
    return [made("dt", NAMES[kind]), made("dd", `${count.done} of ${count.total}`, bar)];
  }));
  const week = progress.limits[0], sure = percent(progress.confidence);
  const aim = `${progress.needed} without a defect say: at most ${percent(progress.miss_rate)}.`;
  at("limit").textContent = week && week.reviewed
    ? `Week ${week.period}: of ${week.reviewed} passes by chance, ${week.defective} defective. So at most ` +
      `${percent(week.at_most)} of all passes are, with ${sure} confidence. ${aim}`
    : `Passes by chance tell how many defects are passed: ${aim}`;
  at("disputes").hidden = !progress.disputed;
  at("disputes").firstElementChild.textContent = `Disagreements: ${progress.disputed}`;
  at("disputed").replaceChildren(...progress.disagreements.map((one) => {
    const button = made("button", one.said.map(said).join(" / "));
    button.type = "button";
    button.addEventListener("click", () => alone(() => next(one.sha256)));
    return made("li", "", button);
  }));
}

function choose(open) {
  at("kinds").hidden = !open;
  at("defect").setAttribute("aria-expanded", String(open));
  if (!open) return;
  at("other").value = "";
  at("known").replaceChildren(...kinds.map((kind, number) => {
    const button = made("button");
    button.type = "button";
    if (number < 9) button.append(made("kbd", String(number + 1)));
    button.append(kind);
    if (kind === lastKind) button.classList.add("last");
    button.addEventListener("click", () => decide("defect", kind));
    return button;
  }));
  if (kinds.length) at("known").firstElementChild.focus();
  else at("other").focus();
  at("keep").scrollIntoView({ block: "nearest" });
}

function decide(action, kind = "") {
  if (!item || (action !== "skip" && !seen)) return;
  alone(async () => {
    try {
      await ask("decide", { inspector: inspector(), sha256: item.sha256, action, kind });
    } catch (error) {
      if (error.isGone) await next(); // there is nothing to decide on any more
      throw error;
    }
    if (action === "defect") lastKind = kind;
    await next();
  });
}

const undo = () => alone(async () => {
  const found = await ask("undo", { inspector: inspector() });
  if (found.item) show(found.item);
  tell(found.progress);
  if (!found.item) throw new Error("There is nothing of yours to undo.");
});

function press(id, on) {
  at(id).setAttribute("aria-pressed", String(on));
  if (id === "map") at("heat").hidden = !on;
  if (id === "lines") at("outlines").style.display = on ? "" : "none";
  if (id === "zoom") {
    const shown = at("frame").getBoundingClientRect().width || 1;
    at("frame").style.transform = on ? `scale(${Math.max(2.5, (item ? item.width : 0) / shown)})` : "";
    at("stage").classList.toggle("zoomed", on);
  }
}
const turn = (id) => press(id, at(id).getAttribute("aria-pressed") !== "true");

function aim(event) {
  const room = at("stage").getBoundingClientRect();
  const place = (value, start, size) => `${Math.min(100, Math.max(0, (100 * (value - start)) / size))}%`;
  at("frame").style.transformOrigin =
    `${place(event.clientX, room.left, room.width)} ${place(event.clientY, room.top, room.height)}`;
}

at("stage").addEventListener("click", (event) => { if (item) { aim(event); turn("zoom"); } });
at("stage").addEventListener("pointermove", (event) => at("stage").classList.contains("zoomed") && aim(event));
at("good").addEventListener("click", () => decide("good"));
at("skip").addEventListener("click", () => decide("skip"));
at("defect").addEventListener("click", () => choose(at("kinds").hidden));
at("undo").addEventListener("click", undo);
for (const id of ["map", "lines", "zoom"]) at(id).addEventListener("click", () => turn(id));
at("kinds").addEventListener("submit", (event) => {
  event.preventDefault();
  if (at("other").value.trim()) decide("defect", at("other").value.trim());
});
at("queue").addEventListener("change", () => { at("queue").blur(); alone(() => next()); });
at("inspector").addEventListener("change", () => {
  localStorage.setItem("inspector", inspector());
  at("inspector").blur();
  alone(() => next());
});
at("picture").addEventListener("load", () => item && look(true));
at("picture").addEventListener("error", () => item && complain("This picture cannot be shown; skip it (S)."));
at("nearest").addEventListener("error", () => { at("like").hidden = true; });
addEventListener("resize", fit);
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const typing = ["INPUT", "SELECT"].includes(event.target.tagName);
  if (event.key === "Escape") { choose(false); event.target.blur(); return; }
  if (typing) return;
  const open = !at("kinds").hidden, number = Number(event.key);
  if (open && number >= 1 && number <= kinds.length) { event.preventDefault(); return decide("defect", kinds[number - 1]); }
  const work = {
    g: () => decide("good"), s: () => decide("skip"), u: undo, d: () => seen && choose(!open),
    m: () => turn("map"), o: () => turn("lines"), z: () => item && turn("zoom"),
  }[event.key.toLowerCase()];
  if (work) { event.preventDefault(); work(); }
});

const dark = () => getComputedStyle(document.documentElement).colorScheme === "dark" ||
  (document.documentElement.style.colorScheme === "" && matchMedia("(prefers-color-scheme: dark)").matches);
const paint = (scheme) => { if (scheme) document.documentElement.style.colorScheme = scheme; };
at("theme").addEventListener("click", () => {
  const scheme = dark() ? "light" : "dark";
  localStorage.setItem("scheme", scheme);
  paint(scheme);
});
paint(localStorage.getItem("scheme"));
at("inspector").value = localStorage.getItem("inspector") || "";
ask("about").then((found) => { at("category").textContent = found.category; document.title = `Review ${found.category}`; })
  .catch((error) => complain(error.message));
if (inspector()) alone(() => next());
else { ask("progress").then(tell).catch((error) => complain(error.message)); at("inspector").focus(); }
