"use strict";
const at = (id) => document.getElementById(id);
let shown = "", chosen = null;

at("address").textContent = location.origin + "/";

async function categories() {
  const answer = await fetch("version");
  if (!answer.ok) return;
  const names = Object.keys(await answer.json());
  at("category").replaceChildren(...names.map((name) => new Option(name, name)));
  at("choice").hidden = names.length < 2;
}

function complain(text) {
  at("problem").textContent = text;
  at("problem").hidden = false;
  at("result").hidden = true;
}

async function score(file) {
  at("problem").hidden = true;
  at("drop").classList.add("busy");
  try {
    const asked = new URLSearchParams({ map: "true" });
    if (at("category").value) asked.set("category", at("category").value);
    const answer = await fetch(`score?${asked}`, { method: "POST", body: file });
    const found = await answer.json().catch(() => ({}));
    if (!answer.ok) complain(typeof found.detail === "string" ? found.detail : `The server answers ${answer.status}.`);
    else show(file, found);
  } catch {
    complain("The server does not answer.");
  } finally {
    at("drop").classList.remove("busy");
  }
}

function outline(regions) {
  const drawn = at("outlines"), image = at("image");
  drawn.setAttribute("viewBox", `0 0 ${image.naturalWidth} ${image.naturalHeight}`);
  const path = (region, kind) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", "path");
    made.setAttribute("d", `M${region.polygon.join(" ")}Z`);
    made.setAttribute("class", kind);
    return made;
  };
  drawn.replaceChildren(...["edge", "line"].flatMap((kind) => regions.map((region) => path(region, kind))));
}

async function explain() {
  const file = chosen, asked = new URLSearchParams();
  if (at("category").value) asked.set("category", at("category").value);
  at("ask").disabled = true;
  at("ask").textContent = "Taking the score apart: about half a minute …";
  at("unexplained").hidden = true;
  try {
    const answer = await fetch(`why?${asked}`, { method: "POST", body: file });
    const found = await answer.json().catch(() => ({}));
    if (file !== chosen) return;
    if (answer.ok) because(found);
    else refuse(typeof found.detail === "string" ? found.detail : `The server answers ${answer.status}.`);
  } catch {
    if (file === chosen) refuse("The server does not answer.");
  } finally {
    if (file === chosen) ready();
  }
}

function ready() {
  at("ask").disabled = false;
  at("ask").textContent = "Why this score?";
}

function refuse(text) {
  at("unexplained").textContent = text;
  at("unexplained").hidden = false;
}

function because(found) {
  at("said").textContent = `${found.said.join(". ")}.`;
  at("place").src = `data:image/webp;base64,${found.place}`;
  at("similar").src = `data:image/webp;base64,${found.similar}`;
  at("nearest").textContent = found.nearest;
  at("why").hidden = false;
}

function show(file, found) {
  chosen = file;
  ready();
  at("why").hidden = at("unexplained").hidden = true;
  const bad = found.pred_label === 1;
  at("result").className = bad ? "bad" : "good";
  at("label").textContent = bad ? "Anomalous" : "Good";
  at("numbers").textContent = `score ${found.pred_score.toFixed(4)}, threshold ${found.threshold.toFixed(4)}, ` +
    `${found.milliseconds.toFixed(0)} ms`;
  const values = [found.pred_score, found.threshold];
  const bounded = values.every((value) => value >= 0 && value <= 1);
  const [low, high] = bounded ? [0, 1] : [Math.min(...values) - 0.1, Math.max(...values) + 0.1];
  const place = (value) => `${(100 * (value - low)) / (high - low)}%`;
  at("needle").style.left = place(found.pred_score);
  at("limit").style.left = place(found.threshold);
  URL.revokeObjectURL(shown);
  shown = URL.createObjectURL(file);
  const places = found.regions.length;
  const largest = Math.max(...found.regions.map((region) => region.area));
  at("places").textContent = `${places} ${places === 1 ? "region" : "regions"} above the pixel threshold` +
    (places ? `, the largest of ${largest.toLocaleString("en")} pixels` : "");
  at("outlines").replaceChildren();
  at("image").onload = () => outline(found.regions);
  at("image").src = shown;
  at("heat").src = `data:image/png;base64,${found.anomaly_map}`;
  at("model").textContent = `${found.category}, model ${found.model}`;
  at("result").hidden = false;
}

at("drop").addEventListener("click", () => at("file").click());
at("drop").addEventListener("keydown", (event) => event.key === "Enter" && at("file").click());
at("file").addEventListener("change", () => at("file").files[0] && score(at("file").files[0]));
for (const kind of ["dragover", "drop"]) document.addEventListener(kind, (event) => event.preventDefault());
document.addEventListener("dragover", () => at("drop").classList.add("over"));
document.addEventListener("dragleave", () => at("drop").classList.remove("over"));
document.addEventListener("drop", (event) => {
  at("drop").classList.remove("over");
  if (event.dataTransfer.files[0]) score(event.dataTransfer.files[0]);
});
at("ask").addEventListener("click", explain);
at("opacity").addEventListener("input", () => { at("heat").style.opacity = at("opacity").value / 100; });
categories();
